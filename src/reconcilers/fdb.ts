// Forwarding entries of our tunnel devices: the MAC of a peer's VTEP to its underlay address, and
// in a flat segment entries without a MAC, one for each place that gets a copy of what has no other
// entry. They carry no owner, but nobody else has business on our devices. What a device learned by
// itself (only with Learning) is never read: it ages by itself.

import { ANY_MAC, type Fdb } from "./kernel-state.ts";
import type { NounRules } from "./noun.ts";
import { word } from "./word.ts";

export const fdb: NounRules<Fdb> = {
  same: (want, have) =>
    want.permanent === have.permanent && want.via === have.via && want.extra === have.extra,
  owned: (object, by) =>
    by.devices.has(object.dev) && !(by.learning.has(object.dev) && isLearnt(object)),
  command(verb, object) {
    const { mac, dev, dst } = object;
    if (verb === "del") return `bridge fdb del ${mac} dev ${dev} dst ${dst}${viaText(object)} self`;
    // vxlan keeps one remote for a unicast MAC, so "replace" moves it, and many for the zero one,
    // for which it refuses to replace (vxlan_fdb_update_existing).
    return `bridge fdb ${isReplica(object) ? "append" : "replace"} ${textOf(object)}`;
  },
  text: textOf,
};

/** vxlan_snoop learns unicast addresses only, and no entry for good. */
export function isLearnt(object: Fdb): boolean {
  return !object.permanent && !isReplica(object);
}

/** One of many entries of one key in the kernel: adding it moves no other. */
export function isReplica({ mac }: Fdb): boolean {
  return mac === ANY_MAC;
}

function textOf(object: Fdb): string {
  const { mac, dev, dst, permanent, extra } = object;
  const rest = extra === null ? "" : ` ${extra}`;
  const state = permanent ? "permanent" : "dynamic";
  return `${mac} dev ${dev} dst ${dst}${viaText(object)} self ${state}${rest}`;
}

function viaText({ via }: Fdb): string {
  return via === undefined ? "" : ` via ${word(via)}`;
}
