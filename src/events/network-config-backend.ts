// The Backend part of the configuration: how packets travel between hosts.

import type { Family } from "./address.ts";
import {
  FLOOD_KEYS,
  FLOOD_MODES,
  type Flood,
  type FloodMode,
  floodDocument,
  parseFlood,
} from "./network-config-flood.ts";
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
  readonly mode: Mode;
  /** For the modes of a flat segment, else null. */
  readonly flood: Flood | null;
}

type Mode = "proactive" | FloodMode;
const MODES: readonly string[] = ["proactive", ...FLOOD_MODES] satisfies readonly Mode[];

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
  ...FLOOD_KEYS,
] as const;

/** `usual` is the family that tunnels use where nothing else decides. */
export function parseBackend(json: Json | undefined, usual: Family): Backend {
  const document = json === undefined || json === null ? {} : object(json, "Backend");
  const type = document.Type ?? "vxlan";
  switch (type) {
    case "vxlan":
      return parseVxlan(document, usual);
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

function parseVxlan(document: Document, usual: Family): VxlanBackend {
  refuseUnknown(document, VXLAN_KEYS, "Backend.");
  const path = "Backend.";
  const mode = optional(document, "Mode", modeOf, path) ?? "proactive";
  const flood = parseFlood(document, mode, usual);
  return {
    type: "vxlan",
    vni: optional(document, "VNI", numberIn(1, 0xffffff), path) ?? 1,
    // flannel writes 0 for "the kernel's own default", which is 8472.
    port: optional(document, "Port", numberIn(0, 65_535), path) || 8472,
    mtu: optional(document, "MTU", numberIn(0, 65_535), path) || null,
    directRouting: optional(document, "DirectRouting", truth, path) ?? false,
    gbp: optional(document, "GBP", truth, path) ?? false,
    learning: optional(document, "Learning", truth, path) ?? flood !== null,
    mode,
    flood,
  };
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

function modeOf(value: Json, key: string): Mode {
  if (typeof value === "string" && MODES.includes(value)) return value as Mode;
  if (value === "on-miss") throw words(key, "on-miss is not available yet");
  throw words(key, `expected ${MODES.join(", ")}, got ${JSON.stringify(value)}`);
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
    ...(backend.flood === null ? {} : floodDocument(backend.flood)),
  };
}
