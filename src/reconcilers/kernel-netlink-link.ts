// The devices of KernelState against RTM_*LINK. Some properties of a vxlan need a new device
// (mustRecreate), the rest changes in place. A TUN is made and opened elsewhere (kernel-tunnel) and
// only dressed here. A device under our name that we did not make is never touched.

import { decode, encode } from "../ffi/layout.ts";
import {
  EEXIST,
  IFF_UP,
  IN6_ADDR_GEN_MODE_NONE,
  NLM_F_CREATE,
  NLM_F_EXCL,
  RTM_DELLINK,
  RTM_NEWLINK,
} from "../ffi/netlink/constants.ts";
import type { NetlinkError } from "../ffi/netlink/error.ts";
import { link, vxlan } from "../ffi/netlink/link.ts";
import type { NetlinkSocket, Request } from "../ffi/netlink/socket.ts";
import type { Devices, LinkMessage } from "./kernel-netlink-dev.ts";
import { forgetLearnt } from "./kernel-netlink-fdb.ts";
import { nexthopsOf } from "./kernel-netlink-nexthop.ts";
import { DONE, failure, outcomeOf } from "./kernel-netlink-outcome.ts";
import { ipText, ipToBytes, macText, macToBytes } from "./kernel-netlink-text.ts";
import type { Link } from "./kernel-state.ts";
import { mustRecreate } from "./link.ts";
import type { OpOutcome } from "./op.ts";

const ENODEV = 19;
const EOPNOTSUPP = 95;
const NO_VXLAN =
  "this kernel has no vxlan: modprobe vxlan; if that fails, install the kernel's extra modules " +
  "(linux-modules-extra-* on Ubuntu)";
const EAFNOSUPPORT = 97;
const OURS = "heddle ";
const KINDS: ReadonlySet<string> = new Set(["vxlan", "tun"]);

/** A device as a Link; of a device that is no vxlan only the general part is told. */
function linkOf(message: LinkMessage, devices: Devices): Link {
  const { header, attrs } = message;
  const kind = attrs.IFLA_LINKINFO?.IFLA_INFO_KIND ?? "";
  const data = attrs.IFLA_LINKINFO?.IFLA_INFO_DATA;
  const tunnel = kind === "vxlan" && data !== undefined ? decode(vxlan, data) : {};
  const local = tunnel.IFLA_VXLAN_LOCAL ?? tunnel.IFLA_VXLAN_LOCAL6;
  const group = tunnel.IFLA_VXLAN_GROUP ?? tunnel.IFLA_VXLAN_GROUP6;
  const underlay = tunnel.IFLA_VXLAN_LINK ?? 0;
  const master = attrs.IFLA_MASTER === undefined ? null : devices.nameOf(attrs.IFLA_MASTER);
  return {
    name: attrs.IFLA_IFNAME ?? "",
    kind,
    vni: tunnel.IFLA_VXLAN_ID ?? 0,
    port: tunnel.IFLA_VXLAN_PORT ?? 0,
    local: local === undefined ? "" : ipText(local),
    underlay: underlay === 0 ? "" : (devices.nameOf(underlay) ?? ""),
    learning: tunnel.IFLA_VXLAN_LEARNING === 1,
    gbp: tunnel.IFLA_VXLAN_GBP === true,
    ...(group === undefined ? {} : { group: ipText(group) }),
    ...(master === null ? {} : { master }),
    // A TUN has no address of its own layer.
    mac: attrs.IFLA_ADDRESS === undefined ? "" : macText(attrs.IFLA_ADDRESS),
    mtu: attrs.IFLA_MTU ?? 0,
    up: (header.flags & IFF_UP) !== 0,
    alias: attrs.IFLA_IFALIAS ?? null,
  };
}

export function observeLinks(devices: Devices, names: readonly string[]): Link[] {
  const links: Link[] = [];
  for (const name of names) {
    const message = devices.get(name);
    if (message !== null) links.push(linkOf(message, devices));
  }
  return links;
}

export async function setLink(
  socket: NetlinkSocket,
  devices: Devices,
  want: Link,
): Promise<OpOutcome> {
  const message = devices.get(want.name);
  if (message === null && want.kind === "tun") return failure(ENODEV, `no device ${want.name}`);
  if (message === null) return create(socket, devices, want);
  const have = linkOf(message, devices);
  if (!isOurs(have) && !lostItsMark(have, want)) return foreign(have);
  if (want.kind === "tun")
    return dress(socket, devices, { index: message.header.index, have, want });
  const place = placeOf(devices, want);
  if ("ok" in place) return place;
  if (!mustRecreate(want, have)) {
    const { index } = message.header;
    const outcome = adjust(socket, { index, ...place }, have, want);
    devices.forget();
    if (outcome.ok && have.learning && !want.learning) return forgetLearnt(socket, index);
    if (outcome.ok || outcome.errno !== EOPNOTSUPP) return outcome;
  }
  const removed = await remove(socket, devices, message.header.index);
  return removed.ok ? create(socket, devices, want) : removed;
}

export async function delLink(
  socket: NetlinkSocket,
  devices: Devices,
  name: string,
): Promise<OpOutcome> {
  const message = devices.get(name);
  if (message === null) return DONE;
  const have = linkOf(message, devices);
  return isOurs(have) ? await remove(socket, devices, message.header.index) : foreign(have);
}

/** Our nexthop objects go first: with 20,000 of them the device alone took up to 13 s to remove. */
async function remove(socket: NetlinkSocket, devices: Devices, index: number): Promise<OpOutcome> {
  await socket.transact(nexthopsOf(socket, index));
  const outcome = outcomeOf("del", socket.transactNow([removal(index)]));
  devices.forget();
  return outcome;
}

function isOurs(found: Link): boolean {
  return KINDS.has(found.kind) && (found.alias ?? "").startsWith(OURS);
}

/**
 * Somebody took the alias off, or the process died between making a TUN and marking it: no device
 * of others has the MAC address of this very node, which TUNs do not have, or is a TUN of our name.
 */
function lostItsMark(found: Link, want: Link): boolean {
  const sameKind = found.kind === want.kind && KINDS.has(found.kind);
  return sameKind && (found.alias ?? "") === "" && found.mac === want.mac;
}

function foreign(found: Link): OpOutcome {
  const kind = found.kind === "" ? "none" : found.kind;
  return failure(EEXIST, `device ${found.name} exists and is not ours (kind ${kind})`);
}

/** Indexes of the devices that the tunnel is made with. */
interface Place {
  readonly underlay: number;
  /** Undefined when no bridge is asked for. */
  readonly master: number | undefined;
}

function placeOf(devices: Devices, { underlay, master }: Link): Place | OpOutcome {
  const below = devices.indexOf(underlay);
  if (below === null) return failure(ENODEV, `no underlay device ${underlay}`);
  if (master === undefined) return { underlay: below, master };
  const above = devices.indexOf(master);
  return above === null
    ? failure(ENODEV, `no bridge ${master}`)
    : { underlay: below, master: above };
}

const removal = (index: number): Request => ({
  type: RTM_DELLINK,
  flags: 0,
  payload: link.encode({ index }, {}),
});

/**
 * RTM_NEWLINK ignores the alias and the address mode when it creates, so these follow in messages
 * of their own, by name, in the same send(2): no crash can leave a device without our mark.
 */
function create(socket: NetlinkSocket, devices: Devices, want: Link): OpOutcome {
  const place = placeOf(devices, want);
  if ("ok" in place) return place;
  const byName = { IFLA_IFNAME: want.name };
  const results = socket.transactNow([
    creation(want, place),
    change({}, { ...byName, IFLA_IFALIAS: want.alias ?? "" }),
    change({}, { ...byName, IFLA_AF_SPEC: noLinkLocal }),
    change(upFlags(want.up), byName),
  ]);
  devices.forget();
  const refused = results[0];
  if (refused?.errno === EOPNOTSUPP) {
    // rtnl_newlink (net/core/rtnetlink.c) knows no such kind and could load no module for it. Its
    // own words do not name the kind.
    return failure(EOPNOTSUPP, NO_VXLAN);
  }
  const outcome = outcomeOf("set", withoutIpv6(results, 2));
  const index = outcome.ok || results[0] !== null ? null : devices.indexOf(want.name);
  // Half made is worse than not made: without its alias the device would count as foreign.
  if (index !== null) socket.transactNow([removal(index)]);
  return outcome;
}

function tunnelInfo(want: Link, underlay: number, fixed: Parameters<typeof vxlan.write>[1]) {
  const local = ipToBytes(want.local);
  const group = want.group === undefined ? undefined : ipToBytes(want.group);
  const data = encode(vxlan, {
    IFLA_VXLAN_ID: want.vni,
    IFLA_VXLAN_LINK: underlay,
    ...(local.length === 4
      ? { IFLA_VXLAN_LOCAL: local, IFLA_VXLAN_GROUP: group }
      : { IFLA_VXLAN_LOCAL6: local, IFLA_VXLAN_GROUP6: group }),
    IFLA_VXLAN_LEARNING: want.learning ? 1 : 0,
    ...fixed,
  });
  return { IFLA_INFO_KIND: "vxlan", IFLA_INFO_DATA: data };
}

function creation(want: Link, { underlay, master }: Place): Request {
  // A change that so much as mentions these is refused, even with the same value.
  const fixed = {
    IFLA_VXLAN_PORT: want.port,
    ...(want.gbp ? { IFLA_VXLAN_GBP: true as const } : {}),
  };
  const attributes = {
    IFLA_IFNAME: want.name,
    IFLA_ADDRESS: macToBytes(want.mac),
    IFLA_MTU: want.mtu,
    IFLA_MASTER: master,
    IFLA_LINKINFO: tunnelInfo(want, underlay, fixed),
  };
  const payload = link.encode({}, attributes);
  return { type: RTM_NEWLINK, flags: NLM_F_CREATE | NLM_F_EXCL, payload };
}

const noLinkLocal = { AF_INET6: { IFLA_INET6_ADDR_GEN_MODE: IN6_ADDR_GEN_MODE_NONE } };

const upFlags = (up: boolean) => ({ flags: up ? IFF_UP : 0, change: IFF_UP });

function change(
  header: Parameters<typeof link.encode>[0],
  attributes: Parameters<typeof link.encode>[1],
): Request {
  return { type: RTM_NEWLINK, flags: 0, payload: link.encode(header, attributes) };
}

/**
 * Everything else changes while the device is up and keeps its routes, neighbours and entries: the
 * MAC address too (vxlan has IFF_LIVE_ADDR_CHANGE), and the underlay after a renumbering.
 */
function adjust(
  socket: NetlinkSocket,
  { index, underlay, master }: Place & { readonly index: number },
  have: Link,
  want: Link,
): OpOutcome {
  const moved =
    have.local !== want.local || have.underlay !== want.underlay || have.learning !== want.learning;
  const attributes = {
    IFLA_ADDRESS: have.mac === want.mac ? undefined : macToBytes(want.mac),
    IFLA_MTU: have.mtu === want.mtu ? undefined : want.mtu,
    IFLA_MASTER: have.master === want.master ? undefined : master,
    IFLA_IFALIAS: have.alias === want.alias ? undefined : (want.alias ?? ""),
  };
  // Apart, because vxlan refuses an MTU beside its own attributes, and the MTU after the underlay,
  // which limits it.
  const info = moved ? [change({ index }, { IFLA_LINKINFO: tunnelInfo(want, underlay, {}) })] : [];
  const requests = [
    ...info,
    change({ index }, attributes),
    change({ index }, { IFLA_AF_SPEC: noLinkLocal }),
    change({ index, ...upFlags(want.up) }, {}),
  ];
  return outcomeOf("set", withoutIpv6(socket.transactNow(requests), requests.length - 2));
}

/** The mark first: with it the device is ours whatever becomes of the rest. */
function dress(
  socket: NetlinkSocket,
  devices: Devices,
  { index, have, want }: { readonly index: number; readonly have: Link; readonly want: Link },
): OpOutcome {
  if (have.kind !== "tun") return foreign(have);
  const requests = [
    change({ index }, { IFLA_IFALIAS: want.alias ?? "" }),
    change({ index }, { IFLA_MTU: have.mtu === want.mtu ? undefined : want.mtu }),
    change({ index }, { IFLA_AF_SPEC: noLinkLocal }),
    change({ index, ...upFlags(want.up) }, {}),
  ];
  const results = socket.transactNow(requests);
  devices.forget();
  return outcomeOf("set", withoutIpv6(results, 2));
}

/** A kernel without IPv6 refuses the address mode, and needs none. */
function withoutIpv6(results: (NetlinkError | null)[], at: number): (NetlinkError | null)[] {
  return results.map((error, i) => (i === at && error?.errno === EAFNOSUPPORT ? null : error));
}
