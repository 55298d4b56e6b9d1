// The Backend part of the configuration: how packets travel between hosts.

import {
  type Document,
  type Json,
  numberIn,
  object,
  optional,
  refuseUnknown,
  truth,
  words,
} from "./network-config-keys.ts";

export interface VxlanBackend {
  readonly type: "vxlan";
  readonly vni: number;
  readonly port: number;
  /** As in flannel: stands in for the underlay's MTU, the overhead is still taken off. */
  readonly mtu: number | null;
  readonly directRouting: boolean;
  readonly gbp: boolean;
  readonly learning: boolean;
  readonly mode: VxlanMode;
  /** Most recently used peers whose entries stay when idle; 0 unless the mode is hybrid. */
  readonly hotPeers: number;
}

/**
 * Which peers' neighbours and forwarding entries a host keeps: everybody's, those that its kernel
 * asked for and uses, or these and some that it used last.
 */
export type VxlanMode = "proactive" | "on-miss" | "hybrid";

export function isOnDemand({ mode }: VxlanBackend): boolean {
  return mode === "on-miss" || mode === "hybrid";
}

export interface UdpBackend {
  readonly type: "udp";
  readonly port: number;
  /** Stands in for the underlay's MTU, the overhead is still taken off, as for vxlan. */
  readonly mtu: number | null;
}

export type Backend =
  | VxlanBackend
  | UdpBackend
  | { readonly type: "host-gw" }
  | { readonly type: "alloc" };

/** Named in the design, not built yet: refused as such, so that nobody hunts for a typing error. */
const LATER = ["ipip", "wireguard", "aws-vpc", "gce", "ali-vpc"];

const VXLAN_KEYS = [
  "Type",
  "VNI",
  "Port",
  "MTU",
  "DirectRouting",
  "GBP",
  "Learning",
  "Mode",
  "HotPeers",
] as const;

const MODES: readonly VxlanMode[] = ["proactive", "on-miss", "hybrid"];
const HOT_PEERS = 64;
/** An entry costs two kernel objects; with more, proactive is the better word for it. */
const HOT_PEERS_MAX = 65_535;

export function parseBackend(json: Json | undefined): Backend {
  const document = json === undefined || json === null ? {} : object(json, "Backend");
  const type = document.Type ?? "vxlan";
  switch (type) {
    case "vxlan":
      return parseVxlan(document);
    case "udp":
      return parseUdp(document);
    case "host-gw":
    case "alloc":
      refuseUnknown(document, ["Type"], "Backend.");
      return { type };
    default:
      throw words("Backend.Type", reasonAgainst(type));
  }
}

function reasonAgainst(type: Json): string {
  if (typeof type === "string" && LATER.includes(type)) return `${type} is not available yet`;
  return `unknown backend ${JSON.stringify(type)}, expected vxlan, host-gw, udp or alloc`;
}

function parseVxlan(document: Document): VxlanBackend {
  refuseUnknown(document, VXLAN_KEYS, "Backend.");
  const path = "Backend.";
  return {
    type: "vxlan",
    vni: optional(document, "VNI", numberIn(1, 0xffffff), path) ?? 1,
    // flannel writes 0 for "the kernel's own default", which is 8472.
    port: optional(document, "Port", numberIn(0, 65_535), path) || 8472,
    mtu: optional(document, "MTU", numberIn(0, 65_535), path) || null,
    directRouting: optional(document, "DirectRouting", truth, path) ?? false,
    gbp: optional(document, "GBP", truth, path) ?? false,
    learning: optional(document, "Learning", truth, path) ?? false,
    ...readMode(document, path),
  };
}

function readMode(document: Document, path: string): Pick<VxlanBackend, "mode" | "hotPeers"> {
  const mode = optional(document, "Mode", oneOfModes, path) ?? "proactive";
  const hotPeers = optional(document, "HotPeers", numberIn(1, HOT_PEERS_MAX), path);
  if (hotPeers !== undefined && mode !== "hybrid") {
    throw words(`${path}HotPeers`, `needs Mode "hybrid", not ${JSON.stringify(mode)}`);
  }
  return { mode, hotPeers: mode === "hybrid" ? (hotPeers ?? HOT_PEERS) : 0 };
}

function parseUdp(document: Document): UdpBackend {
  const path = "Backend.";
  refuseUnknown(document, ["Type", "Port", "MTU"], path);
  return {
    type: "udp",
    port: optional(document, "Port", numberIn(0, 65_535), path) || 8285,
    mtu: optional(document, "MTU", numberIn(0, 65_535), path) || null,
  };
}

function oneOfModes(value: Json, key: string): VxlanMode {
  const found = MODES.find((mode) => mode === value);
  if (found !== undefined) return found;
  throw words(key, `expected "proactive", "on-miss" or "hybrid", got ${JSON.stringify(value)}`);
}

export function backendDocument(backend: Backend): Document {
  if (backend.type === "host-gw" || backend.type === "alloc") return { Type: backend.type };
  const mtu = backend.mtu === null ? {} : { MTU: backend.mtu };
  if (backend.type === "udp") return { Type: backend.type, Port: backend.port, ...mtu };
  return {
    Type: backend.type,
    VNI: backend.vni,
    Port: backend.port,
    ...mtu,
    DirectRouting: backend.directRouting,
    GBP: backend.gbp,
    Learning: backend.learning,
    Mode: backend.mode,
    ...(backend.mode === "hybrid" ? { HotPeers: backend.hotPeers } : {}),
  };
}
