// Routes to peers. The protocol number marks ours: on the underlay device our routes stand among
// those of the administrator and of other programs.

import { familyOf } from "../events/address.ts";
import { PROTOCOL, type Route } from "./kernel-state.ts";
import type { NounRules } from "./noun.ts";
import { word } from "./word.ts";

/** Names that tunnel devices of any fabric have. */
const TUNNEL = /^(?:(?:heddle(?:-v6)?|hd-v6)\.|heddle0$)/;

export const route: NounRules<Route> = {
  same: (want, have) =>
    want.via === have.via &&
    want.dev === have.dev &&
    want.onlink === have.onlink &&
    want.protocol === have.protocol &&
    want.unreachable === have.unreachable &&
    want.extra === have.extra,
  // A route through another fabric's device has our number too and is that fabric's.
  owned: (object, by) =>
    object.protocol === PROTOCOL && (by.devices.has(object.dev) || !TUNNEL.test(object.dev)),
  command(verb, object) {
    const ip = familyOf(object.dst) === "ipv6" ? "ip -6" : "ip";
    if (verb === "set") return `${ip} route replace ${textOf(object)}`;
    return `${ip} route del ${object.dst} metric ${object.metric} proto ${object.protocol}`;
  },
  text: textOf,
};

function textOf(o: Route): string {
  if (o.unreachable) return `unreachable ${o.dst} proto ${o.protocol} metric ${o.metric}`;
  const via = o.via === null ? "" : ` via ${o.via}`;
  const extra = o.extra === null ? "" : ` ${o.extra}`;
  const dev = `${word(o.dev)}${o.onlink ? " onlink" : ""}`;
  return `${o.dst}${via} dev ${dev} proto ${o.protocol} metric ${o.metric}${extra}`;
}
