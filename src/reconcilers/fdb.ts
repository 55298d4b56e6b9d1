// Forwarding entries of our tunnel devices: the MAC of a peer's VTEP to its underlay address. They
// carry no owner, but nobody else has business on our devices. What a device learned by itself
// (only with Learning) is never read: it ages by itself.

import type { Fdb } from "./kernel-state.ts";
import type { NounRules } from "./noun.ts";

export const fdb: NounRules<Fdb> = {
  same: (want, have) => want.permanent === have.permanent && want.extra === have.extra,
  owned: (object, by) => by.devices.has(object.dev),
  command(verb, object) {
    const { mac, dev, dst } = object;
    // vxlan keeps one remote for a unicast MAC, so "replace" moves it (vxlan_fdb_update).
    if (verb === "set") return `bridge fdb replace ${textOf(object)}`;
    return `bridge fdb del ${mac} dev ${dev} dst ${dst} self`;
  },
  text: textOf,
};

function textOf({ mac, dev, dst, permanent, extra }: Fdb): string {
  const rest = extra === null ? "" : ` ${extra}`;
  return `${mac} dev ${dev} dst ${dst} self ${permanent ? "permanent" : "dynamic"}${rest}`;
}
