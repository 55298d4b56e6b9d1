// Routing as the model of the kernel does it: which routes are refused and why, the longest match,
// and the routes that addresses bring with them. Pure; the state is in kernel-model.ts.

import {
  bitsOf,
  containsIp,
  familyOf,
  formatPrefix,
  type Ip,
  networkBase,
  type Prefix,
  toNumber,
} from "../../src/events/address.ts";
import type { Addr, Link, Route } from "../../src/reconcilers/kernel-state.ts";
import type { OpOutcome } from "../../src/reconcilers/op.ts";

export interface Routing {
  readonly links: ReadonlyMap<string, Link>;
  readonly addrs: ReadonlyMap<string, Addr>;
  /** Every route, those of addresses included. */
  readonly routes: readonly Route[];
}

export const ENODEV = 19;

export function refused(errno: number, message: string): OpOutcome {
  return { ok: false, errno, message };
}

/** fib_check_nh (net/ipv4/fib_semantics.c) and ip6_validate_gw (net/ipv6/route.c). */
export function refuseRoute(routing: Routing, route: Route): OpOutcome | null {
  const { dst, via, dev, onlink } = route;
  if (route.unreachable) return null;
  const link = routing.links.get(dev);
  if (link === undefined) return refused(ENODEV, `ENODEV: no device ${dev}`);
  const v6 = familyOf(dst) === "ipv6";
  const down = refused(100, "ENETDOWN: Nexthop device is not up");
  if (!link.up && (onlink || via === null)) return down;
  if (via === null) return null;
  const invalid = refused(22, "EINVAL: Nexthop has invalid gateway");
  if ((onlink || v6) && isLocal(routing, via)) return invalid;
  const toGateway = lookup(routing, via);
  if (onlink) {
    // A route that leads nowhere is no other way (RTF_REJECT in ip6_route_check_nh_onlink).
    const other = toGateway !== null && !toGateway.unreachable && toGateway.dev !== dev;
    const elsewhere = other && lengthOf(toGateway.dst) > 0;
    return v6 && elsewhere ? invalid : null;
  }
  if (toGateway?.dev === dev && toGateway.via === null) return null;
  // IPv4 takes an address of the same device for a gateway, and its local route outlives the device
  // being up (RTN_LOCAL in fib_check_nh_v4_gw, RT_SCOPE_NOTHING in fib_sync_down_dev).
  if (!v6 && isLocal(routing, via, dev)) return link.up ? null : down;
  return v6
    ? refused(113, "EHOSTUNREACH")
    : refused(101, "ENETUNREACH: Nexthop has invalid gateway");
}

/** The longest matching prefix, then the lowest metric. */
export function lookup(routing: Routing, ip: Ip): Route | null {
  let best: Route | null = null;
  for (const route of routing.routes) {
    if (!containsIp(route.dst, ip)) continue;
    const longer = best === null || lengthOf(route.dst) > lengthOf(best.dst);
    const same = best !== null && lengthOf(route.dst) === lengthOf(best.dst);
    if (longer || (same && best !== null && route.metric < best.metric)) best = route;
  }
  return best;
}

function isLocal(routing: Routing, ip: Ip, on?: string): boolean {
  return Array.from(routing.addrs.values()).some(
    ({ dev, address }) => address.startsWith(`${ip}/`) && (on ?? dev) === dev,
  );
}

function connectedRoute({ dev, address }: Addr): Route | null {
  const ip = address.slice(0, address.indexOf("/"));
  const family = familyOf(ip);
  const length = lengthOf(address);
  if (family === "ipv4" && length === bitsOf(family)) return null;
  const prefix: Prefix = { family, base: toNumber(ip), length };
  const network: Prefix = { ...prefix, base: networkBase(prefix) };
  return {
    dst: formatPrefix(network),
    via: null,
    dev,
    onlink: false,
    metric: family === "ipv4" ? 0 : 256,
    // RTPROT_KERNEL.
    protocol: 2,
    extra: family === "ipv4" ? `src ${ip}` : null,
  };
}

/** Routes that addresses bring with them while the device is up: an IPv4 /32 brings none. */
export function connectedRoutes(
  links: Routing["links"],
  addrs: Routing["addrs"],
): readonly Route[] {
  return Array.from(addrs.values())
    .filter(({ dev }) => links.get(dev)?.up)
    .flatMap((addr) => connectedRoute(addr) ?? []);
}

const lengthOf = (prefix: string) => Number(prefix.slice(prefix.indexOf("/") + 1));
