// Which free subnets a node should claim. It starts at a place given by the node's name, so that
// hosts that start together on an empty log mostly ask for different subnets; whoever loses asks
// again.

import type { Cidr } from "./address.ts";
import { takenBy } from "./fold-lease.ts";
import { fnv1a64 } from "./hash.ts";
import { type IndexRange, indicesOf, inPool, type Pool, poolSize, subnetAt } from "./pool.ts";
import type { FabricState, Node } from "./state.ts";

export type Allocation =
  | { readonly ok: true; readonly subnets: readonly Cidr[] }
  | { readonly ok: false; readonly reason: string };

/**
 * One free subnet per family of the fabric; first what is reserved for the node or what it had, in
 * this log or (`former`) in one that was lost.
 */
export function allocate(
  state: Readonly<FabricState>,
  node: string,
  former: readonly Cidr[] = [],
): Allocation {
  const { config } = state;
  if (config === null) return { ok: false, reason: "the fabric has no configuration yet" };
  const subnets: Cidr[] = [];
  for (const pool of [config.ipv4, config.ipv6]) {
    if (pool === null) continue;
    const subnet = pick(state, pool, node, former);
    if (subnet === null) {
      const reason = `pool exhausted: all ${poolSize(pool)} subnets of ${pool.network} are taken`;
      return { ok: false, reason };
    }
    subnets.push(subnet);
  }
  return { ok: true, subnets };
}

function pick(
  state: Readonly<FabricState>,
  pool: Pool,
  name: string,
  former: readonly Cidr[],
): Cidr | null {
  const node = state.nodes.get(name);
  const known = [...(node?.previous ?? []), ...former.filter((cidr) => !isRevoked(node, cidr))];
  for (const subnet of [...reservedFor(state, name), ...known]) {
    if (inPool(pool, subnet) && takenBy(state, subnet, name) === null) return subnet;
  }
  // Other hosts' last subnets are taken only when nothing else is left: they may come back.
  const avoided = subnetsOfAbsent(state, name);
  for (const subnet of node?.revoked ?? []) avoided.add(subnet);
  let fallback: Cidr | null = null;
  const start = fnv1a64(name) % poolSize(pool);
  for (const { first, last } of openRanges(state, pool, name, start)) {
    // A pool can hold 2^60 subnets; each one passed over is leased or avoided, so the walk is as
    // short as those are few.
    for (let index = first; index <= last; index++) {
      const subnet = subnetAt(pool, index);
      if ((state.owners.get(subnet) ?? name) !== name) continue;
      if (!avoided.has(subnet)) return subnet;
      fallback ??= subnet;
    }
  }
  return fallback;
}

function isRevoked(node: Node | undefined, subnet: Cidr): boolean {
  return node?.revoked.includes(subnet) ?? false;
}

/** The pool from `start` on and around, without what is reserved for others or foreign peers'. */
function openRanges(
  state: Readonly<FabricState>,
  pool: Pool,
  name: string,
  start: bigint,
): readonly IndexRange[] {
  const open: IndexRange[] = [];
  let next = 0n;
  for (const { first, last } of blockedRanges(state, pool, name)) {
    if (first > next) open.push({ first: next, last: first - 1n });
    if (last >= next) next = last + 1n;
  }
  open.push({ first: next, last: poolSize(pool) - 1n });
  const after = open.map(({ first, last }) => ({ first: first < start ? start : first, last }));
  const before = open.map(({ first, last }) => ({ first, last: last < start ? last : start - 1n }));
  return [...after, ...before];
}

function blockedRanges(state: Readonly<FabricState>, pool: Pool, name: string): IndexRange[] {
  const blocked: IndexRange[] = [];
  const block = (subnet: Cidr): void => {
    const range = indicesOf(pool, subnet);
    if (range !== null) blocked.push(range);
  };
  for (const { node, subnet } of state.reservations.values()) if (node !== name) block(subnet);
  for (const { subnet } of state.peers.values()) block(subnet);
  return blocked.sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0));
}

function* reservedFor(state: Readonly<FabricState>, name: string): Generator<Cidr> {
  for (const reservation of state.reservations.values()) {
    if (reservation.node === name) yield reservation.subnet;
  }
}

function subnetsOfAbsent(state: Readonly<FabricState>, name: string): Set<Cidr> {
  const subnets = new Set<Cidr>();
  for (const node of state.nodes.values()) {
    if (node.node === name || state.leases.has(node.node)) continue;
    for (const subnet of node.previous) subnets.add(subnet);
  }
  return subnets;
}
