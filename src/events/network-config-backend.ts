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
  /** Most recently used peers whose entries stay when idle; 0 unless the mode is hybrid. */
  readonly hotPeers: number;
  /** For the modes of a flat segment, else null. */
  readonly flood: Flood | null;
}

/**
 * Which peers' neighbours and forwarding entries a host keeps: everybody's, those that its kernel
 * asked for and uses, or these and some that it used last; or a flat segment, which has none.
 */
export type Mode = "proactive" | DemandMode | FloodMode;
type DemandMode = "on-miss" | "hybrid";
const DEMAND_MODES = ["on-miss", "hybrid"] as const satisfies readonly DemandMode[];
const MODES: readonly string[] = ["proactive", ...DEMAND_MODES, ...FLOOD_MODES];
const HOT_PEERS = 64;
/** An entry costs two kernel objects; with more, proactive is the better word for it. */
const HOT_PEERS_MAX = 65_535;

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
    hotPeers: readHotPeers(document, mode, path),
    flood,
  };
}

function readHotPeers(document: Document, mode: Mode, path: string): number {
  const hotPeers = optional(document, "HotPeers", numberIn(1, HOT_PEERS_MAX), path);
  if (hotPeers !== undefined && mode !== "hybrid") {
    throw words(`${path}HotPeers`, `only with Mode hybrid, not ${mode}`);
  }
  return mode === "hybrid" ? (hotPeers ?? HOT_PEERS) : 0;
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
    ...(backend.mode === "hybrid" ? { HotPeers: backend.hotPeers } : {}),
    ...(backend.flood === null ? {} : floodDocument(backend.flood)),
  };
}
