// Neighbours: the peer's gateway address to the MAC of its VTEP. The kernel keeps entries of its
// own on our devices (multicast, NUD_NOARP); those have no protocol number and are never in
// question.

import { type Neigh, PROTOCOL } from "./kernel-state.ts";
import type { NounRules } from "./noun.ts";

export const neigh: NounRules<Neigh> = {
  same: (want, have) =>
    want.mac === have.mac && want.permanent === have.permanent && want.protocol === have.protocol,
  owned: (object, by) => object.protocol === PROTOCOL && by.devices.has(object.dev),
  command: (verb, object) =>
    verb === "set"
      ? `ip neigh replace ${textOf(object)}`
      : `ip neigh del ${object.ip} dev ${object.dev}`,
  text: textOf,
};

function textOf({ ip, mac, dev, permanent, protocol }: Neigh): string {
  const lladdr = mac === null ? "" : ` lladdr ${mac}`;
  return `${ip}${lladdr} dev ${dev} nud ${permanent ? "permanent" : "reachable"} proto ${protocol}`;
}
