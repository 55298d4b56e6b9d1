// Who owns which subnet. All ownership changes of the fold are in this file; they keep one
// invariant: `owners` holds exactly the subnets of `leases`, `taken` those and the foreign peers',
// and no two of them overlap.

import { type Cidr, overlaps, prefixOf } from "./address.ts";
import { holderAt, vacate } from "./endpoints.ts";
import type { EventOf } from "./event.ts";
import { dropHeld } from "./fold-miss.ts";
import { inPool } from "./pool.ts";
import type { FabricState, Lease, Node } from "./state.ts";
import { giveBack, inTheWay, take } from "./taken.ts";
import { accepted, against, lost, type Verdict } from "./verdict.ts";

/** One for all: 10 000 empty lists are 0.6 MiB. */
const NONE: readonly Cidr[] = [];

type LeaseEvent = EventOf<"LeaseClaimed" | "LeaseRenewed" | "LeaseReleased" | "LeaseExpired">;

export function foldLease(state: FabricState, event: LeaseEvent): Verdict {
  switch (event.type) {
    case "LeaseClaimed":
      return claim(state, event.data);
    case "LeaseRenewed":
      return renew(state, event.data);
    case "LeaseReleased":
      return release(state, event.data);
    case "LeaseExpired":
      return expire(state, event.data);
  }
}

function claim(state: FabricState, data: EventOf<"LeaseClaimed">["data"]): Verdict {
  const node = state.nodes.get(data.node);
  if (!node?.present) return lost(`${data.node} has not joined`);
  const held = state.leases.get(data.node);
  if (held !== undefined && sameSubnets(held.subnets, data.subnets)) {
    return lost(`${data.node} holds this lease already`);
  }
  if (held !== undefined) return lost(`${data.node} holds ${held.subnets.join(", ")}`);
  const shape = shapeFault(state, data.subnets);
  if (shape !== null) return against(shape);
  if (data.epoch !== node.epoch + 1) {
    return lost(`epoch ${data.epoch}, the next of ${data.node} is ${node.epoch + 1}`);
  }
  for (const subnet of data.subnets) {
    const taken = takenBy(state, subnet, data.node);
    if (taken !== null) return lost(`${subnet} ${taken}`);
  }
  grant(state, node, data);
  return accepted;
}

/** Why these subnets are no lease of this fabric whoever asks, or null. */
function shapeFault(state: FabricState, subnets: readonly Cidr[]): string | null {
  const { config } = state;
  if (config === null) return "the fabric has no configuration yet";
  const { ipv4, ipv6 } = config;
  let in4 = 0;
  let in6 = 0;
  for (const subnet of subnets) {
    if (ipv4 !== null && inPool(ipv4, subnet)) in4++;
    else if (ipv6 !== null && inPool(ipv6, subnet)) in6++;
    else return `${subnet} is not in the pool`;
  }
  const want4 = ipv4 === null ? 0 : 1;
  const want6 = ipv6 === null ? 0 : 1;
  if (in4 === want4 && in6 === want6) return null;
  return `a lease of this fabric has ${want4 + want6} subnet(s), one in each family`;
}

/** Why `node` cannot have `subnet` now ("belongs to h2"), or null when it is free for it. */
export function takenBy(state: FabricState, subnet: Cidr, node: string): string | null {
  const owner = state.owners.get(subnet);
  if (owner !== undefined && owner !== node) return `belongs to ${owner}`;
  // Overlap, not equality: a reservation outlives a change of SubnetLen.
  for (const reservation of state.reservations.values()) {
    if (reservation.node === node) continue;
    if (!overlaps(prefixOf(subnet), prefixOf(reservation.subnet))) continue;
    return reservation.node === null ? "is reserved" : `is reserved for ${reservation.node}`;
  }
  for (const { peer } of inTheWay(state.taken, subnet)) {
    if (peer !== null) return `overlaps peer ${peer}`;
  }
  return null;
}

function grant(state: FabricState, node: Node, data: EventOf<"LeaseClaimed">["data"]): void {
  node.epoch = data.epoch;
  node.previous = data.subnets;
  node.revoked = NONE;
  node.heardMs = state.timeMs;
  for (const subnet of data.subnets) {
    state.owners.set(subnet, node.node);
    take(state.taken, subnet, null);
  }
  state.leases.set(node.node, {
    node: node.node,
    epoch: data.epoch,
    subnets: data.subnets,
    claimedSeq: state.seq,
    claimedMs: state.timeMs,
    renewedMs: state.timeMs,
    ttlSeconds: data.ttlSeconds,
    expiresMs: state.timeMs + data.ttlSeconds * 1000,
  });
}

function renew(state: FabricState, data: EventOf<"LeaseRenewed">["data"]): Verdict {
  const lease = state.leases.get(data.node);
  const fault = mismatch(lease, data);
  if (lease === undefined || fault !== null) return lost(fault ?? "no lease");
  // The next renewal brings this very array (codec-memo.ts), which needs no comparison.
  if (lease.subnets[0] === data.subnets[0]) lease.subnets = data.subnets;
  lease.renewedMs = state.timeMs;
  lease.ttlSeconds = data.ttlSeconds;
  lease.expiresMs = state.timeMs + data.ttlSeconds * 1000;
  const node = state.nodes.get(data.node);
  if (node !== undefined) node.heardMs = state.timeMs;
  return accepted;
}

function release(state: FabricState, data: EventOf<"LeaseReleased">["data"]): Verdict {
  const fault = mismatch(state.leases.get(data.node), data);
  if (fault !== null) return lost(fault);
  dropLease(state, data.node);
  return accepted;
}

function expire(state: FabricState, data: EventOf<"LeaseExpired">["data"]): Verdict {
  const lease = state.leases.get(data.owner);
  const fault = mismatch(lease, { ...data, node: data.owner });
  if (lease === undefined || fault !== null) return lost(fault ?? "no lease");
  if (state.timeMs < lease.expiresMs) {
    const until = new Date(lease.expiresMs).toISOString();
    return against(`premature: the lease of ${data.owner} runs until ${until}`);
  }
  dropLease(state, data.owner);
  const node = state.nodes.get(data.owner);
  if (node !== undefined) withdraw(state, node);
  return accepted;
}

type Claimed = { readonly node: string; readonly epoch: number; readonly subnets: readonly Cidr[] };

/** Why an event about a lease is about another lease than the one that is there, or null. */
function mismatch(lease: Lease | undefined, data: Claimed): string | null {
  if (lease === undefined) return `${data.node} holds no lease`;
  if (lease.epoch !== data.epoch) return `epoch ${data.epoch}, ${data.node} is at ${lease.epoch}`;
  if (!sameSubnets(lease.subnets, data.subnets)) {
    return `${data.node} holds ${lease.subnets.join(", ")}`;
  }
  return null;
}

function sameSubnets(a: readonly Cidr[], b: readonly Cidr[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (const subnet of a) if (!b.includes(subnet)) return false;
  return true;
}

/** Ends the lease of `node`; its subnets are free from here on. */
export function dropLease(state: FabricState, node: string): void {
  const lease = state.leases.get(node);
  if (lease === undefined) return;
  for (const subnet of lease.subnets) {
    state.owners.delete(subnet);
    giveBack(state.taken, subnet);
  }
  dropHeld(state, lease.subnets);
  state.leases.delete(node);
}

/** Ends a node's membership: its underlay addresses and MACs are free from here on. */
export function withdraw(state: FabricState, node: Node): void {
  node.present = false;
  for (const endpoint of endpointsOf(node)) {
    // Someone else may answer there by now, if this node left a while ago.
    if (holderAt(state.endpoints, endpoint) === node.node) vacate(state.endpoints, endpoint);
  }
}

/** The addresses by which others reach a node; no two present nodes may share one. */
export function endpointsOf(
  member: Pick<Node, "publicIp" | "publicIpv6" | "vtepMac" | "vtepMacV6">,
): readonly string[] {
  const { publicIp, publicIpv6, vtepMac, vtepMacV6 } = member;
  const endpoints: string[] = [];
  if (publicIp !== null) endpoints.push(publicIp);
  if (publicIpv6 !== null) endpoints.push(publicIpv6);
  if (vtepMac !== null) endpoints.push(vtepMac);
  if (vtepMacV6 !== null) endpoints.push(vtepMacV6);
  return endpoints;
}
