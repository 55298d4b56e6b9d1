// Routes of the main table against RTM_*ROUTE. A route through a nexthop object and a plain one are
// the same Route value; which form a new route takes is a matter of cost, decided in
// kernel-netlink-nexthop.ts. Whatever we never set ourselves is told as text in `extra`.

import { putU32 } from "../ffi/layout.ts";
import {
  AF_INET,
  AF_INET6,
  ENOENT,
  NLM_F_CREATE,
  NLM_F_REPLACE,
  RT_SCOPE_LINK,
  RT_SCOPE_NOWHERE,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_MAIN,
  RTM_DELROUTE,
  RTM_GETROUTE,
  RTM_NEWROUTE,
  RTN_UNICAST,
  RTN_UNREACHABLE,
  RTN_UNSPEC,
  RTNH_F_ONLINK,
} from "../ffi/netlink/constants.ts";
import { NetlinkError } from "../ffi/netlink/error.ts";
import type { Frame } from "../ffi/netlink/header.ts";
import { route, rtmsg } from "../ffi/netlink/route.ts";
import type { NetlinkSocket, Request } from "../ffi/netlink/socket.ts";
import type { Devices } from "./kernel-netlink-dev.ts";
import { dumpNexthops, type Nexthop } from "./kernel-netlink-nexthop.ts";
import { type PlainRoute, plainRouteOf } from "./kernel-netlink-route-plain.ts";
import { afOf, anyIp, ipText, ipToBytes, putIpv4, splitPrefix } from "./kernel-netlink-text.ts";
import { keyOf, PROTOCOL, type Route } from "./kernel-state.ts";

export type RouteMessage = ReturnType<typeof route.decode>;

/** Those that are as we make them, read already, and all others. */
export interface FoundRoutes {
  readonly plain: readonly PlainRoute[];
  readonly others: readonly RouteMessage[];
}

/** Our routes, and every route through the given devices. */
export function dumpRoutes(socket: NetlinkSocket, indexes: readonly number[]): FoundRoutes {
  const plain: PlainRoute[] = [];
  const isPlain = (frame: Frame): boolean => {
    const read = plainRouteOf(frame);
    if (read !== null) plain.push(read);
    return read !== null;
  };
  // Flat, not spread into a push: as arguments, 700 000 routes are more than the stack holds.
  const others = [AF_INET, AF_INET6]
    .flatMap((family) => [
      dumpWhere(socket, family, PROTOCOL, undefined, isPlain),
      ...indexes.map((index) => dumpWhere(socket, family, ANY_BUT_OURS, index)),
    ])
    .flat();
  return { plain, others };
}

/** As a protocol to `dumpWhere`: the kernel is asked for all, and ours are left undecoded. */
export const ANY_BUT_OURS = -1;

/**
 * The kernel filters: strict checking makes it honour table, protocol (0: any) and device. What
 * `skip` says yes to is left out.
 */
export function dumpWhere(
  socket: NetlinkSocket,
  family: number,
  protocol: number,
  oif: number | undefined,
  skip: (frame: Frame) => boolean = () => false,
): RouteMessage[] {
  const payload = route.encode(
    { family, table: RT_TABLE_MAIN, protocol: Math.max(protocol, 0) },
    { RTA_TABLE: RT_TABLE_MAIN, RTA_OIF: oif },
  );
  try {
    return socket.dump({ type: RTM_GETROUTE, flags: 0, payload }, (reply) => {
      const { bytes } = reply.input;
      // A kernel without IPv6 answers for every family it has.
      if (bytes[reply.at + rtmsg.at.family] !== family) return null;
      const isOurs = bytes[reply.at + rtmsg.at.protocol] === PROTOCOL;
      return (protocol === ANY_BUT_OURS && isOurs) || skip(reply) ? null : route.read(reply);
    });
  } catch (error) {
    // The table is made when its first route is.
    if (error instanceof NetlinkError && error.errno === ENOENT) return [];
    throw error;
  }
}

/** Nexthop objects by id, for routes that name one; empty when none does. */
export type Nexthops = ReadonlyMap<number, Nexthop>;

/** The objects that `messages` need to be understood. */
export function nexthopsFor(socket: NetlinkSocket, messages: readonly RouteMessage[]): Nexthops {
  const needed = messages.some(({ attrs }) => attrs.RTA_NH_ID !== undefined);
  return needed ? dumpNexthops(socket) : new Map();
}

export function routeOf(message: RouteMessage, devices: Devices, nexthops: Nexthops): Route {
  const { header, attrs } = message;
  // With net.ipv4.nexthop_compat_mode=0 the dump names only the object.
  const object = attrs.RTA_NH_ID === undefined ? undefined : nexthops.get(attrs.RTA_NH_ID);
  const oif = attrs.RTA_OIF ?? object?.oif;
  const dst = attrs.RTA_DST === undefined ? anyIp(header.family) : ipText(attrs.RTA_DST);
  const onlink = attrs.RTA_OIF === undefined ? object?.onlink : header.flags & RTNH_F_ONLINK;
  const unreachable = header.type === RTN_UNREACHABLE;
  return {
    dst: `${dst}/${header.dst_len}`,
    via: gatewayOf(message) ?? object?.via ?? null,
    // IPv6 shows the loopback device where IPv4 shows none.
    dev: oif === undefined || unreachable ? "" : (devices.nameOf(oif) ?? ""),
    onlink: Boolean(onlink),
    metric: attrs.RTA_PRIORITY ?? 0,
    protocol: header.protocol,
    extra: extraOf(message, object),
    ...(unreachable ? { unreachable } : {}),
  };
}

function gatewayOf({ attrs }: RouteMessage): string | null {
  if (attrs.RTA_GATEWAY !== undefined) return ipText(attrs.RTA_GATEWAY);
  // struct rtvia: two bytes of address family, then the address.
  return attrs.RTA_VIA === undefined ? null : ipText(attrs.RTA_VIA.subarray(2));
}

function extraOf(message: RouteMessage, object: Nexthop | undefined): string | null {
  const { header, attrs } = message;
  const extra: string[] = [];
  if (header.type !== RTN_UNICAST && header.type !== RTN_UNREACHABLE)
    extra.push(`type ${header.type}`);
  if (header.tos !== 0) extra.push(`tos ${header.tos}`);
  const via = gatewayOf(message) ?? object?.via ?? null;
  if (header.scope !== scopeOf(header.family, via, header.type === RTN_UNREACHABLE)) {
    extra.push(`scope ${header.scope}`);
  }
  if (attrs.RTA_SRC !== undefined) extra.push(`from ${ipText(attrs.RTA_SRC)}/${header.src_len}`);
  if (attrs.RTA_PREFSRC !== undefined) extra.push(`src ${ipText(attrs.RTA_PREFSRC)}`);
  if ((attrs.RTA_METRICS?.length ?? 0) > 0) extra.push(`metrics ${attrs.RTA_METRICS?.toHex()}`);
  if (attrs.RTA_MULTIPATH !== undefined) extra.push("multipath");
  if (attrs.RTA_FLOW !== undefined) extra.push(`realm ${attrs.RTA_FLOW}`);
  if (attrs.RTA_ENCAP_TYPE !== undefined) extra.push(`encap ${attrs.RTA_ENCAP_TYPE}`);
  if ((attrs.RTA_PREF ?? 0) !== 0) extra.push(`pref ${attrs.RTA_PREF}`);
  if (expires(attrs.RTA_CACHEINFO)) extra.push("expires");
  if (attrs.RTA_NH_ID !== undefined && object?.protocol !== PROTOCOL) {
    extra.push(`nhid ${attrs.RTA_NH_ID}`);
  }
  return extra.length === 0 ? null : extra.join(" ");
}

/** IPv4 has scopes: a route without a gateway reaches only the link, unless it leads nowhere. */
function scopeOf(family: number, via: string | null, unreachable = false): number {
  const link = family === AF_INET && via === null && !unreachable;
  return link ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
}

/** struct rta_cacheinfo: the third word, rta_expires, is nonzero on routes that time out. */
function expires(cacheinfo: Uint8Array | undefined): boolean {
  return cacheinfo?.subarray(8, 12).some((byte) => byte !== 0) ?? false;
}

/** What every request about `object` says of it, besides type and scope. */
function identityOf(object: Route) {
  const { ip, length } = splitPrefix(object.dst);
  const { protocol, metric } = object;
  return {
    header: { family: afOf(ip), dst_len: length, table: RT_TABLE_MAIN, protocol },
    attrs: { RTA_DST: ipToBytes(ip), RTA_PRIORITY: metric },
  };
}

/** Creates or replaces a route that leads nowhere. */
export function setUnreachable(object: Route): Request {
  const { header, attrs } = identityOf(object);
  const payload = route.encode(
    { ...header, scope: RT_SCOPE_UNIVERSE, type: RTN_UNREACHABLE },
    attrs,
  );
  return { type: RTM_NEWROUTE, flags: NLM_F_CREATE | NLM_F_REPLACE, payload };
}

/** Creates or replaces a route by its own gateway and device. */
export function setRoute(object: Route, oif: number): Request {
  const { header, attrs } = identityOf(object);
  const { family } = header;
  const unicast = { ...header, scope: scopeOf(family, object.via), type: RTN_UNICAST };
  const flags = object.onlink ? RTNH_F_ONLINK : 0;
  const payload = route.encode(
    { ...unicast, flags },
    { ...attrs, RTA_OIF: oif, ...through(object, family) },
  );
  return { type: RTM_NEWROUTE, flags: NLM_F_CREATE | NLM_F_REPLACE, payload };
}

const THROUGH_NEXTHOP = route.pattern(
  {
    family: AF_INET,
    table: RT_TABLE_MAIN,
    protocol: PROTOCOL,
    scope: RT_SCOPE_UNIVERSE,
    type: RTN_UNICAST,
  },
  { RTA_DST: new Uint8Array(4), RTA_PRIORITY: 0, RTA_NH_ID: 0 },
);

/** Creates or replaces an IPv4 route that goes through a nexthop object. */
export function setThroughNexthop({ dst, metric }: Route, nhid: number): Request {
  const payload = THROUGH_NEXTHOP.bytes.slice();
  const { dst_len, RTA_DST, RTA_PRIORITY, RTA_NH_ID } = THROUGH_NEXTHOP.at;
  payload[dst_len] = Number(dst.slice(dst.indexOf("/") + 1));
  putIpv4(payload, RTA_DST, dst);
  putU32(payload, RTA_PRIORITY, metric);
  putU32(payload, RTA_NH_ID, nhid);
  return { type: RTM_NEWROUTE, flags: NLM_F_CREATE | NLM_F_REPLACE, payload };
}

function through(object: Route, family: number) {
  if (object.via === null) return {};
  const gateway = ipToBytes(object.via);
  const via = afOf(object.via);
  return via === family
    ? { RTA_GATEWAY: gateway }
    : { RTA_VIA: Uint8Array.of(via & 0xff, via >> 8, ...gateway) };
}

/**
 * By destination, metric and protocol only: fib_nh_match (net/ipv4/fib_semantics.c) never matches a
 * route through a nexthop object when a device or gateway is given.
 */
export function delRoute(object: Route): Request {
  const { header, attrs } = identityOf(object);
  const payload = route.encode({ ...header, scope: RT_SCOPE_NOWHERE, type: RTN_UNSPEC }, attrs);
  return { type: RTM_DELROUTE, flags: 0, payload };
}

/**
 * Removals of exactly those of our routes that share a key with `object` and are not `keep`: TOS,
 * type and gateway are part of the kernel's identity of a route, not of ours, so that `delRoute`
 * and REPLACE may leave some standing.
 */
export function strayRoutes(
  socket: NetlinkSocket,
  devices: Devices,
  object: Route,
  keep: Route | null,
): Request[] {
  const nexthops = dumpNexthops(socket);
  const requests: Request[] = [];
  for (const found of dumpWhere(socket, afOf(object.dst), PROTOCOL, undefined)) {
    const have = routeOf(found, devices, nexthops);
    if (keyOf.route(have) !== keyOf.route(object)) continue;
    if (keep === null || !sameRoute(have, keep)) requests.push(exactRemoval(found));
  }
  return requests;
}

function sameRoute(a: Route, b: Route): boolean {
  if (a.unreachable !== b.unreachable) return false;
  return a.via === b.via && a.dev === b.dev && a.onlink === b.onlink && a.extra === b.extra;
}

function exactRemoval({ header, attrs }: RouteMessage): Request {
  const { family, dst_len, src_len, tos, type } = header;
  const { RTA_DST, RTA_SRC, RTA_PRIORITY, RTA_NH_ID, RTA_OIF, RTA_GATEWAY, RTA_MULTIPATH } = attrs;
  // A route through an object matches by the object only, not by what the object says.
  const through = RTA_NH_ID === undefined ? { RTA_OIF, RTA_GATEWAY, RTA_MULTIPATH } : { RTA_NH_ID };
  const payload = route.encode(
    {
      family,
      dst_len,
      src_len,
      tos,
      table: RT_TABLE_MAIN,
      protocol: PROTOCOL,
      scope: RT_SCOPE_NOWHERE,
      type,
    },
    { RTA_DST, RTA_SRC, RTA_PRIORITY, ...through },
  );
  return { type: RTM_DELROUTE, flags: 0, payload };
}

/**
 * Of two routes under one key the one to report. Ours before a foreign one, which is none of our
 * business while ours is there; of two of ours the first, marked so that it gets put right.
 */
export function mergeRoutes(a: Route, b: Route): Route {
  if (a.protocol !== PROTOCOL) return b.protocol === PROTOCOL ? b : a;
  if (b.protocol !== PROTOCOL) return a;
  return { ...a, extra: a.extra ?? b.extra ?? "twice" };
}
