// Which free subnets a node should claim. It starts at a place given by the node's name, so that hosts
// that start together on an empty log mostly ask for different subnets; whoever loses asks again.

import type { Cidr } from "./address.ts";
import { takenBy } from "./fold-lease.ts";
import { fnv1a64 } from "./hash.ts";
import { inPool, type Pool, poolSize, subnetAt } from "./pool.ts";
import type { FabricState } from "./state.ts";

export type Allocation =
  | { readonly ok: true; readonly subnets: readonly Cidr[] }
  | { readonly ok: false; readonly reason: string };

/** One free subnet per family of the fabric; first what the node had or what is reserved for it. */
export function allocate(state: Readonly<FabricState>, node: string): Allocation {
  const { config } = state;
  if (config === null) return { ok: false, reason: "the fabric has no configuration yet" };
  const subnets: Cidr[] = [];
  for (const pool of [config.ipv4, config.ipv6]) {
    if (pool === null) continue;
    const subnet = pick(state, pool, node);
    if (subnet === null) {
      const reason = `pool exhausted: all ${poolSize(pool)} subnets of ${pool.network} are taken`;
      return { ok: false, reason };
    }
    subnets.push(subnet);
  }
  return { ok: true, subnets };
}

function pick(state: Readonly<FabricState>, pool: Pool, name: string): Cidr | null {
  const node = state.nodes.get(name);
  for (const subnet of [...reservedFor(state, name), ...(node?.previous ?? [])]) {
    if (inPool(pool, subnet) && takenBy(state, subnet, name) === null) return subnet;
  }
  // Other hosts' last subnets are taken only when nothing else is left: they may come back.
  const remembered = subnetsOfAbsent(state, name);
  let fallback: Cidr | null = null;
  const size = poolSize(pool);
  const start = fnv1a64(name) % size;
  for (let i = 0n; i < size; i++) {
    const subnet = subnetAt(pool, (start + i) % size);
    if (takenBy(state, subnet, name) !== null) continue;
    if (!remembered.has(subnet) && node?.revoked.includes(subnet) !== true) return subnet;
    fallback ??= subnet;
    // An IPv6 pool can hold 2^60 subnets; what is remembered is bounded by the nodes ever seen.
    if (i > remembered.size + state.owners.size + state.reservations.size) break;
  }
  return fallback;
}

function* reservedFor(state: Readonly<FabricState>, name: string): Generator<Cidr> {
  for (const reservation of state.reservations.values()) {
    if (reservation.node === name) yield reservation.subnet;
  }
}

function subnetsOfAbsent(state: Readonly<FabricState>, name: string): ReadonlySet<Cidr> {
  const subnets = new Set<Cidr>();
  for (const node of state.nodes.values()) {
    if (node.node === name || state.leases.has(node.node)) continue;
    for (const subnet of node.previous) subnets.add(subnet);
  }
  return subnets;
}
