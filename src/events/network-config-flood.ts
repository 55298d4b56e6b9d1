// The modes of vxlan without a control plane: one flat layer-2 segment over all hosts, in which
// addresses are learnt from traffic. What nobody has learnt yet goes to a multicast group of the
// underlay ("multicast") or, as one copy for each, to every peer ("head-end").

import { type Family, familyOf, type Ip, isMulticast, parseIp } from "./address.ts";
import {
  type Document,
  type Json,
  optional,
  refuseKeys,
  truth,
  words,
} from "./network-config-keys.ts";

export const FLOOD_MODES = ["multicast", "head-end"] as const;
export type FloodMode = (typeof FLOOD_MODES)[number];

export interface Flood {
  /** Null for head-end. */
  readonly group: Ip | null;
  /** Of the outer header: one device has one, and carries both families of containers in it. */
  readonly underlay: Family;
  /** A bridge that hosts have already, for the device to be a port of; null: none, or by hand. */
  readonly bridge: string | null;
}

export const FLOOD_KEYS = ["Group", "Underlay", "Bridge"] as const;

const PATH = "Backend.";

/** `usual` is the family to travel over unless the document says otherwise. */
export function parseFlood(document: Document, mode: string, usual: Family): Flood | null {
  if (!isFlood(mode)) {
    refuseKeys(document, ["Group"], PATH, "only with Mode multicast");
    refuseKeys(document, ["Underlay"], PATH, "only with Mode head-end");
    refuseKeys(document, ["Bridge"], PATH, `only with Mode ${FLOOD_MODES.join(" or ")}`);
    return null;
  }
  if (optional(document, "DirectRouting", truth, PATH) === true) {
    throw words(`${PATH}DirectRouting`, `a flat segment has no routes: not with Mode ${mode}`);
  }
  if (optional(document, "Learning", truth, PATH) === false) {
    throw words(`${PATH}Learning`, `Mode ${mode} knows no address but by learning`);
  }
  const bridge = optional(document, "Bridge", deviceName, PATH) ?? null;
  if (mode === "head-end") {
    refuseKeys(document, ["Group"], PATH, "only with Mode multicast");
    const underlay = optional(document, "Underlay", family, PATH) ?? usual;
    return { group: null, underlay, bridge };
  }
  refuseKeys(document, ["Underlay"], PATH, "only with Mode head-end: the family is that of Group");
  const group = optional(document, "Group", multicastIp, PATH);
  if (group === undefined) throw words(`${PATH}Group`, "missing: Mode multicast needs a group");
  return { group, underlay: familyOf(group), bridge };
}

export function floodDocument({ group, underlay, bridge }: Flood): Document {
  return {
    ...(group === null ? { Underlay: underlay } : { Group: group }),
    ...(bridge === null ? {} : { Bridge: bridge }),
  };
}

function isFlood(mode: string): mode is FloodMode {
  return (FLOOD_MODES as readonly string[]).includes(mode);
}

function multicastIp(value: Json, key: string): Ip {
  const ip = typeof value === "string" ? parseIp(value) : null;
  if (ip !== null && isMulticast(ip)) return ip;
  throw words(key, `expected a multicast address, got ${JSON.stringify(value)}`);
}

function family(value: Json, key: string): Family {
  if (value === "ipv4" || value === "ipv6") return value;
  throw words(key, `expected "ipv4" or "ipv6", got ${JSON.stringify(value)}`);
}

/** As dev_valid_name (net/core/dev.c) has it; no quotes, since the name stands in commands. */
function deviceName(value: Json, key: string): string {
  if (typeof value === "string" && /^(?!\.{1,2}$)[A-Za-z0-9_.-]{1,15}$/.test(value)) return value;
  throw words(key, `expected the name of a device, got ${JSON.stringify(value)}`);
}
