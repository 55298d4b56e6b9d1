// flannel's network configuration document, checked and completed. What goes into the log is the
// document with every default written out, so that a later change of a default cannot change the
// meaning of an old log. Rules and defaults are flannel's (pkg/subnet/config.go), except that a
// missing Backend means vxlan and that unknown keys are refused instead of ignored.

import {
  type Family,
  fromNumber,
  networkBase,
  type Prefix,
  parseCidr,
  parseIp,
  prefixOf,
  sizeOf,
  toNumber,
} from "./address.ts";
import { type Backend, backendDocument, parseBackend } from "./network-config-backend.ts";
import {
  ConfigRefusal,
  type Document,
  isShallow,
  number,
  object,
  optional,
  refuseUnknown,
  truth,
  words,
} from "./network-config-keys.ts";
import type { Pool } from "./pool.ts";

export interface FabricConfig {
  readonly ipv4: Pool | null;
  readonly ipv6: Pool | null;
  readonly backend: Backend;
  /** Accepted for flannel's sake; rules are always nftables here. */
  readonly enableNFTables: boolean;
}

export type ParsedConfig =
  | { readonly ok: true; readonly config: FabricConfig; readonly document: Document }
  | { readonly ok: false; readonly reason: string };

const KEYS = [
  "EnableIPv4",
  "EnableIPv6",
  "EnableNFTables",
  "Network",
  "SubnetLen",
  "SubnetMin",
  "SubnetMax",
  "IPv6Network",
  "IPv6SubnetLen",
  "IPv6SubnetMin",
  "IPv6SubnetMax",
  "Backend",
] as const;

/** Checks and completes a configuration document; the reason names the key at fault. */
export function parseNetworkConfig(json: unknown): ParsedConfig {
  try {
    const document = object(json, "the network configuration");
    if (!isShallow(document)) throw words("the network configuration", "nested too deeply");
    refuseUnknown(document, KEYS, "");
    const config = readConfig(document);
    return { ok: true, config, document: completeDocument(config) };
  } catch (error) {
    if (error instanceof ConfigRefusal) return { ok: false, reason: error.message };
    throw error;
  }
}

function readConfig(document: Document): FabricConfig {
  const wants4 = optional(document, "EnableIPv4", truth) ?? true;
  const wants6 = optional(document, "EnableIPv6", truth) ?? false;
  if (!wants4 && !wants6)
    throw words("EnableIPv4", "at least one of EnableIPv4, EnableIPv6 must be true");
  const ipv4 = wants4 ? readPool(document, "ipv4") : null;
  const ipv6 = wants6 ? readPool(document, "ipv6") : null;
  return {
    ipv4,
    ipv6,
    backend: parseBackend(document.Backend, wants4 ? "ipv4" : "ipv6"),
    enableNFTables: optional(document, "EnableNFTables", truth) ?? false,
  };
}

/** Families in which hosts need an address of their own: those of the outer headers. */
export function underlayFamilies({ ipv4, ipv6, backend }: FabricConfig): readonly Family[] {
  if (backend.type === "vxlan" && backend.flood !== null) return [backend.flood.underlay];
  return [ipv4, ipv6].filter((pool) => pool !== null).map(({ family }) => family);
}

/** flannel's limits by family: default length, shortest pool, longest subnet. */
const LIMITS = {
  ipv4: { prefix: "", usual: 24, networkMax: 28, subnetMax: 30 },
  ipv6: { prefix: "IPv6", usual: 64, networkMax: 124, subnetMax: 126 },
} as const;

function readPool(document: Document, family: Family): Pool {
  const limits = LIMITS[family];
  const key = (name: string): string => `${limits.prefix}${name}`;
  const network = readNetwork(document, key("Network"), family);
  if (network.length > limits.networkMax) {
    throw words(
      key("Network"),
      `a prefix of at most /${limits.networkMax} is needed, not /${network.length}`,
    );
  }
  const usual = network.length <= limits.usual - 2 ? limits.usual : network.length + 2;
  const subnetLen = optional(document, key("SubnetLen"), number) ?? usual;
  if (subnetLen < network.length + 2 || subnetLen > limits.subnetMax) {
    const range = `${network.length + 2} to ${limits.subnetMax}`;
    throw words(
      key("SubnetLen"),
      `expected ${range} for a /${network.length} network, got ${subnetLen}`,
    );
  }
  const size = sizeOf(family, subnetLen);
  const end = network.base + sizeOf(family, network.length);
  const bound = (name: string, fallback: bigint): bigint =>
    readBound(document, key(name), { ...network, length: network.length }, subnetLen) ?? fallback;
  const min = bound("SubnetMin", network.base + size);
  const max = bound("SubnetMax", end - size);
  if (min > max) throw words(key("SubnetMin"), `must not be above ${key("SubnetMax")}`);
  return {
    family,
    network: `${fromNumber(family, network.base)}/${network.length}`,
    subnetLen,
    subnetMin: fromNumber(family, min),
    subnetMax: fromNumber(family, max),
  };
}

function readNetwork(document: Document, key: string, family: Family): Prefix {
  const value = document[key];
  if (value === undefined || value === null) throw words(key, "missing");
  const cidr = typeof value === "string" ? parseCidr(value) : null;
  if (cidr === null || prefixOf(cidr).family !== family) {
    const label = family === "ipv4" ? "an IPv4" : "an IPv6";
    throw words(key, `expected ${label} prefix without host bits, got ${JSON.stringify(value)}`);
  }
  return prefixOf(cidr);
}

function readBound(
  document: Document,
  key: string,
  network: Prefix,
  subnetLen: number,
): bigint | null {
  const value = document[key];
  if (value === undefined || value === null) return null;
  const ip = typeof value === "string" ? parseIp(value) : null;
  if (ip === null || ip.includes(":") !== (network.family === "ipv6")) {
    throw words(key, `expected an address, got ${JSON.stringify(value)}`);
  }
  const base = toNumber(ip);
  if (networkBase({ family: network.family, base, length: network.length }) !== network.base) {
    throw words(key, `${ip} is outside the network`);
  }
  if (networkBase({ family: network.family, base, length: subnetLen }) !== base) {
    throw words(key, `${ip} is not on a /${subnetLen} boundary`);
  }
  return base;
}

function completeDocument(config: FabricConfig): Document {
  const { ipv4, ipv6 } = config;
  return {
    EnableIPv4: ipv4 !== null,
    EnableIPv6: ipv6 !== null,
    EnableNFTables: config.enableNFTables,
    ...(ipv4 === null ? {} : poolDocument(ipv4)),
    ...(ipv6 === null ? {} : poolDocument(ipv6)),
    Backend: backendDocument(config.backend),
  };
}

function poolDocument(pool: Pool): Document {
  const { prefix } = LIMITS[pool.family];
  return {
    [`${prefix}Network`]: pool.network,
    [`${prefix}SubnetLen`]: pool.subnetLen,
    [`${prefix}SubnetMin`]: pool.subnetMin,
    [`${prefix}SubnetMax`]: pool.subnetMax,
  };
}
