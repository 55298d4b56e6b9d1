// Tunnel devices: their names, the mark that makes them ours, and which of their properties are
// fixed at creation. A device without the mark is foreign, unless it has this node's MAC address
// or is a TUN under our name: that one is marked only after it was made.

import { type Family, familyOf } from "../events/address.ts";
import type { Link } from "./kernel-state.ts";
import type { NounRules } from "./noun.ts";
import { word } from "./word.ts";

/** IFNAMSIZ less its terminator. */
const NAME_MAX = 15;
const MARK = "heddle ";

export function deviceName(vni: number, family: Family): string {
  if (family === "ipv4") return `heddle.${vni}`;
  const name = `heddle-v6.${vni}`;
  return name.length <= NAME_MAX ? name : `hd-v6.${vni}`;
}

/** One per host: what tells fabrics apart inside it is nothing but the peers' addresses. */
export const TUN_NAME = "heddle0";

export function aliasOf(fabric: string): string {
  return `${MARK}${fabric}`;
}

/** Made by an agent, for whatever fabric. */
export function isMarked(link: Link): boolean {
  return link.alias?.startsWith(MARK) ?? false;
}

/**
 * True when `want` needs a new device; the kernel drops everything on the old one. It refuses to
 * change kind, VNI, port, GBP and the family of the source address, and changes the rest in place
 * (vxlan_changelink in drivers/net/vxlan/vxlan_core.c).
 */
export function mustRecreate(want: Link, have: Link): boolean {
  // A TUN outlives the process that reads it; another port is another socket and no new device.
  if (want.kind === "tun" && have.kind === "tun") return false;
  return (
    want.kind !== have.kind ||
    want.vni !== have.vni ||
    want.port !== have.port ||
    want.gbp !== have.gbp ||
    familyOf(want.local) !== familyOf(have.local) ||
    mustRejoin(want, have)
  );
}

/**
 * A group is joined when the device comes up; only since 6.15 a change of the group is followed,
 * one of the underlay is not, and no change takes the group away (vxlan_changelink).
 */
function mustRejoin(want: Link, have: Link): boolean {
  if (want.group !== have.group) return true;
  return want.group !== undefined && want.underlay !== have.underlay;
}

/** True when the change empties the device's neighbour table (neigh_changeaddr, permanent too). */
export function losesNeighs(want: Link, have: Link): boolean {
  return want.mac !== have.mac;
}

export const link: NounRules<Link> = {
  same: (want, have) =>
    !mustRecreate(want, have) &&
    sameEnd(want, have) &&
    want.mtu === have.mtu &&
    want.up === have.up &&
    want.alias === have.alias,
  owned: (object, by) => object.alias === aliasOf(by.fabric),
  command(verb, object, found) {
    const { name } = object;
    if (verb === "del") return `ip link del ${name}`;
    if (object.kind === "tun") return tunCommand(object, found);
    const finish =
      `ip link set ${name} alias '${object.alias ?? ""}'${masterText(object)}` +
      ` ${object.up ? "up" : "down"}`;
    if (found === null) return `${addCommand(object)} && ${finish}`;
    if (mustRecreate(object, found)) {
      return `ip link del ${name} && ${addCommand(object)} && ${finish}`;
    }
    // Apart, because vxlan refuses an MTU beside its own attributes.
    const outside = `${finish} address ${object.mac} mtu ${object.mtu}`;
    return `ip link set ${name} ${tunnelArgs(object)} && ${outside}`;
  },
  text: (o) => (o.kind === "tun" ? tunText(o) : vxlanText(o)),
};

function sameEnd(want: Link, have: Link): boolean {
  if (want.kind === "tun") {
    return want.port === have.port && JSON.stringify(want.tun) === JSON.stringify(have.tun);
  }
  return (
    want.local === have.local &&
    want.underlay === have.underlay &&
    want.learning === have.learning &&
    want.mac === have.mac &&
    (want.master === undefined || want.master === have.master)
  );
}

/** What the packet path opens; packets flow only while an agent runs it. */
function tunCommand(o: Link, found: Link | null): string {
  const add = `ip tuntap add dev ${o.name} mode tun multi_queue vnet_hdr`;
  const set =
    `ip link set ${o.name} mtu ${o.mtu} addrgenmode none alias '${o.alias ?? ""}'` +
    ` ${o.up ? "up" : "down"}`;
  return found === null ? `${add} && ${set}` : set;
}

function tunText(o: Link): string {
  const end = o.tun === undefined ? "not read" : `port ${o.port} on ${o.tun.listen.join(" ")}`;
  const own = o.tun === undefined ? "" : ` for ${o.tun.subnets.join(" ")}`;
  return (
    `${o.name} ${o.kind} ${end}${own} mtu ${o.mtu} ${o.up ? "up" : "down"}` +
    ` alias '${o.alias ?? ""}'`
  );
}

function vxlanText(o: Link): string {
  return (
    `${o.name} ${o.kind} id ${o.vni} dstport ${o.port} local ${o.local} dev ${o.underlay}` +
    `${groupText(o)}${masterText(o)}${o.learning ? "" : " nolearning"}${o.gbp ? " gbp" : ""}` +
    ` address ${o.mac} mtu ${o.mtu}` +
    ` ${o.up ? "up" : "down"} alias '${o.alias ?? ""}'`
  );
}

const groupText = ({ group }: Link): string => (group === undefined ? "" : ` group ${group}`);
const masterText = ({ master }: Link): string => (master === undefined ? "" : ` master ${master}`);

function tunnelArgs(o: Link): string {
  const learning = o.learning ? "learning" : "nolearning";
  const end = `id ${o.vni} dev ${word(o.underlay)} local ${o.local}`;
  return `type ${o.kind} ${end}${groupText(o)} ${learning}`;
}

function addCommand(o: Link): string {
  return (
    `ip link add ${o.name} address ${o.mac} mtu ${o.mtu} ${tunnelArgs(o)}` +
    ` dstport ${o.port}${o.gbp ? " gbp" : ""}` +
    ` && ip link set ${o.name} addrgenmode none`
  );
}
