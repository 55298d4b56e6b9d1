// The subnets that somebody holds, in the order of their addresses: who is in the way of a prefix
// is found in log2(n) steps, where a look at everybody would make n events cost n² of them.
//
// Invariant: what is held does not overlap (the fold refuses it), so only neighbours in this order
// can be in a prefix's way.

import { type Cidr, overlaps, type Prefix, prefixOf } from "./address.ts";

export interface Taken {
  readonly subnet: Cidr;
  readonly base: bigint;
  /** Name of the foreign peer that holds it, or null for a lease, whose owner the state knows. */
  readonly peer: string | null;
}

/** Sorted by base, in each family. */
export interface TakenSubnets {
  readonly ipv4: Taken[];
  readonly ipv6: Taken[];
}

export function noneTaken(): TakenSubnets {
  return { ipv4: [], ipv6: [] };
}

export function take(taken: TakenSubnets, subnet: Cidr, peer: string | null): void {
  const { family, base } = prefixOf(subnet);
  taken[family].splice(placeOf(taken[family], base), 0, { subnet, base, peer });
}

export function giveBack(taken: TakenSubnets, subnet: Cidr): void {
  const { family, base } = prefixOf(subnet);
  const rows = taken[family];
  const at = placeOf(rows, base);
  if (rows[at]?.subnet === subnet) rows.splice(at, 1);
}

/** What overlaps `subnet`, in the order of addresses. */
export function* inTheWay(taken: TakenSubnets, subnet: Cidr): Generator<Taken> {
  const wanted = prefixOf(subnet);
  const rows = taken[wanted.family];
  const at = placeOf(rows, wanted.base);
  const before = rows[at - 1];
  if (before !== undefined && isIn(wanted, before)) yield before;
  for (let next = at; ; next++) {
    const row = rows[next];
    if (row === undefined || !isIn(wanted, row)) return;
    yield row;
  }
}

function isIn(wanted: Prefix, row: Taken): boolean {
  return overlaps(wanted, prefixOf(row.subnet));
}

/** Index of the first row at or behind `base`. */
function placeOf(rows: readonly Taken[], base: bigint): number {
  let from = 0;
  let to = rows.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    const row = rows[middle];
    if (row !== undefined && row.base < base) from = middle + 1;
    else to = middle;
  }
  return from;
}
