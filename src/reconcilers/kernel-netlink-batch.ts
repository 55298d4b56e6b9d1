// Ops on routes, neighbours, FDB entries and addresses, sent as one batch. Each op becomes zero or
// more requests; its outcome is that of its requests. What an op found there with something extra
// (another TOS, port, …) is a different object to the kernel and gets a removal of its own.

import { AF_INET, AF_INET6, EEXIST, EINVAL } from "../ffi/netlink/constants.ts";
import { CHUNK, type NetlinkSocket, type Request } from "../ffi/netlink/socket.ts";
import { addrRequest } from "./kernel-netlink-addr.ts";
import type { Devices } from "./kernel-netlink-dev.ts";
import { fdbRequest, strayFdb } from "./kernel-netlink-fdb.ts";
import { neighRequest } from "./kernel-netlink-neigh.ts";
import { LIMIT, NexthopAllocator, unusedNexthops } from "./kernel-netlink-nexthop.ts";
import { attempt, DONE, failure, outcomeOf } from "./kernel-netlink-outcome.ts";
import {
  delRoute,
  dumpWhere,
  setRoute,
  setThroughNexthop,
  setUnreachable,
  strayRoutes,
} from "./kernel-netlink-route.ts";
import { afOf } from "./kernel-netlink-text.ts";
import { PROTOCOL, type Route } from "./kernel-state.ts";
import type { Op, OpOutcome } from "./op.ts";

export type BatchOp = Extract<Op, { noun: "addr" | "route" | "neigh" | "fdb" }>;

const ENODEV = 19;

export function isBatchOp(op: Op): op is BatchOp {
  return op.noun === "addr" || op.noun === "route" || op.noun === "neigh" || op.noun === "fdb";
}

/** Distinct plain IPv4 gateways by device, as last observed plus what was added since. */
export type Gateways = Map<string, Set<string>>;

export async function applyBatch(
  socket: NetlinkSocket,
  devices: Devices,
  gateways: Gateways,
  ops: readonly BatchOp[],
): Promise<OpOutcome[]> {
  const nexthops = wantsNexthops(gateways, ops) ? new NexthopAllocator(socket) : null;
  // An op is one request, a route with its nexthop object two.
  const atOnce = nexthops === null ? CHUNK : CHUNK / 2;
  const outcomes: OpOutcome[] = [];
  for (let from = 0; from < ops.length; from += atOnce) {
    if (from > 0) await new Promise(setImmediate);
    const some = ops.slice(from, from + atOnce);
    const plans = some.map((op) => plan(op, devices, nexthops));
    const requests: Request[] = [];
    for (const item of plans) if (Array.isArray(item)) for (const one of item) requests.push(one);
    const results = socket.transactNow(requests);
    const allDone = results.every((result) => result === null);
    let at = 0;
    for (const [i, op] of some.entries()) {
      const item = plans[i] ?? [];
      const count = Array.isArray(item) ? item.length : 0;
      let outcome = Array.isArray(item) ? DONE : item;
      // Of 10 000 routes none failed: nothing is cut out for each.
      if (count > 0 && !allDone) outcome = outcomeOf(op.verb, results.slice(at, at + count));
      at += count;
      outcomes.push(needsMore(op, outcome) ? await settle(socket, devices, op, outcome) : outcome);
    }
  }
  if (ops.some((op) => op.noun === "route" && op.found !== null)) await removeUnused(socket);
  return outcomes;
}

type Plan = Request[] | OpOutcome;

function plan(op: BatchOp, devices: Devices, nexthops: NexthopAllocator | null): Plan {
  // Our routes may outlive the name of their device; they are removed by destination.
  if (op.noun === "route" && op.verb === "del") return [delRoute(op.object)];
  if (op.noun === "route" && op.object.unreachable) return [setUnreachable(op.object)];
  const index = devices.indexOf(op.object.dev);
  if (index === null) {
    return op.verb === "del" ? DONE : failure(ENODEV, `no device ${op.object.dev}`);
  }
  switch (op.noun) {
    case "addr":
      return [addrRequest(op.verb, op.object, index)];
    case "neigh":
      return [neighRequest(op.verb, op.object, index)];
    case "fdb":
      return planFdb(op, devices, index);
    case "route":
      return planRoute(op.object, index, nexthops);
  }
}

function planFdb(
  { verb, object }: Extract<BatchOp, { noun: "fdb" }>,
  devices: Devices,
  index: number,
): Plan {
  if (object.via === undefined) return [fdbRequest(verb, object, index, undefined)];
  const via = devices.indexOf(object.via);
  if (via !== null) return [fdbRequest(verb, object, index, via)];
  return verb === "del" ? DONE : failure(ENODEV, `no device ${object.via}`);
}

function planRoute(object: Route, index: number, nexthops: NexthopAllocator | null): Request[] {
  const { via, onlink } = object;
  if (nexthops === null || via === null || !hasOwnGateway(object)) return [setRoute(object, index)];
  const { id, request } = nexthops.idFor(via, index, onlink);
  const routed = setThroughNexthop(object, id);
  return request === null ? [routed] : [request, routed];
}

function hasOwnGateway(object: Route): boolean {
  return object.via !== null && afOf(object.dst) === AF_INET && afOf(object.via) === AF_INET;
}

/** True when the batch would bring a device above LIMIT; otherwise its gateways are noted. */
function wantsNexthops(gateways: Gateways, ops: readonly BatchOp[]): boolean {
  const added: Gateways = new Map();
  for (const op of ops) {
    if (op.noun !== "route" || op.verb !== "set" || !hasOwnGateway(op.object)) continue;
    const { dev, via } = op.object;
    const all = added.get(dev) ?? new Set(gateways.get(dev));
    added.set(dev, all.add(via ?? ""));
    if (all.size > LIMIT) return true;
  }
  for (const [dev, all] of added) gateways.set(dev, all);
  return false;
}

/** True when what was found differs in what the kernel, but not we, counts as identity. */
function needsMore(op: BatchOp, outcome: OpOutcome): boolean {
  if (op.noun === "fdb") {
    const { found, object } = op;
    return outcome.ok && found !== null && (found.extra !== null || found.via !== object.via);
  }
  if (op.noun !== "route") return false;
  // REPLACE says EEXIST when the wanted route exists behind another one of the same key.
  if (!outcome.ok) return op.verb === "set" && (outcome.errno === EEXIST || leadsAway(op, outcome));
  return op.found?.protocol === PROTOCOL && op.found.extra !== null;
}

/**
 * True when what stands there is in its own successor's way: IPv6 refuses an onlink gateway that a
 * route leads to by another device (ip6_route_check_nh_onlink in net/ipv6/route.c), and the gateway
 * of a peer's route lies within the route's destination.
 */
function leadsAway(op: BatchOp, outcome: OpOutcome): boolean {
  if (op.noun !== "route" || outcome.ok || outcome.errno !== EINVAL) return false;
  const { dst, dev, onlink } = op.object;
  return onlink && afOf(dst) === AF_INET6 && op.found !== null && op.found.dev !== dev;
}

function settle(
  socket: NetlinkSocket,
  devices: Devices,
  op: BatchOp,
  outcome: OpOutcome,
): Promise<OpOutcome> {
  return attempt(() => {
    const index = devices.indexOf(op.object.dev);
    if (op.noun === "fdb") {
      const strays = index === null ? [] : strayFdb(socket, devices, op.object, index);
      return outcomeOf("del", socket.transactNow(strays));
    }
    if (op.noun !== "route") return DONE;
    const keep = op.verb === "set" ? op.object : null;
    const strays = strayRoutes(socket, devices, op.object, keep);
    // In front of ours stands a foreign one, and only without ours will REPLACE take its place.
    if (!outcome.ok) strays.push(delRoute(op.object));
    if (op.found !== null && leadsAway(op, outcome)) strays.push(delRoute(op.found));
    const removed = outcomeOf("del", socket.transactNow(strays));
    if (op.verb === "del" || !removed.ok) return removed;
    if (op.object.unreachable)
      return outcomeOf("set", socket.transactNow([setUnreachable(op.object)]));
    if (index === null) return removed;
    return outcomeOf("set", socket.transactNow([setRoute(op.object, index)]));
  });
}

/** Objects are ours by their protocol; a failure here only leaves one unused for the next time. */
export async function removeUnused(socket: NetlinkSocket): Promise<void> {
  const ourRoutes = () =>
    [AF_INET, AF_INET6].flatMap((family) => dumpWhere(socket, family, PROTOCOL, undefined));
  await socket.transact(unusedNexthops(socket, ourRoutes));
}
