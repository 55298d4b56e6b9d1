// The subnets that somebody holds, in the order of their addresses: who is in the way of a prefix
// is found in log2(n) steps, where a look at everybody would make n events cost n² of them.
//
// Invariant: what is held does not overlap (the fold refuses it), so only neighbours in this order
// can be in a prefix's way.

import { type Cidr, type Span, spanOf } from "./address.ts";

export interface Taken extends Span {
  readonly subnet: Cidr;
  /** Name of the foreign peer that holds it, or null for a lease, whose owner the state knows. */
  readonly peer: string | null;
}

/** Sorted by first address, in each family. */
export interface TakenSubnets {
  readonly ipv4: Taken[];
  readonly ipv6: Taken[];
}

export function noneTaken(): TakenSubnets {
  return { ipv4: [], ipv6: [] };
}

export function take(taken: TakenSubnets, subnet: Cidr, peer: string | null): void {
  const { family, first, last } = spanOf(subnet);
  const rows = taken[family];
  const row = { family, first, last, subnet, peer };
  const at = placeOf(rows, first);
  if (at === rows.length) rows.push(row);
  else rows.splice(at, 0, row);
}

export function giveBack(taken: TakenSubnets, subnet: Cidr): void {
  const { family, first } = spanOf(subnet);
  const rows = taken[family];
  const at = placeOf(rows, first);
  if (rows[at]?.subnet === subnet) rows.splice(at, 1);
}

/** What overlaps `subnet`, in the order of addresses. */
export function inTheWay(taken: TakenSubnets, subnet: Cidr): readonly Taken[] {
  const { family, first, last } = spanOf(subnet);
  const rows = taken[family];
  const at = placeOf(rows, first);
  const found: Taken[] = [];
  const before = rows[at - 1];
  if (before !== undefined && before.last >= first) found.push(before);
  for (let next = at; ; next++) {
    const row = rows[next];
    if (row === undefined || row.first > last) return found;
    found.push(row);
  }
}

/** Index of the first row at or behind `first`. */
function placeOf(rows: readonly Taken[], first: number | bigint): number {
  let from = 0;
  let to = rows.length;
  // Most often behind them all: subnets are given away in their order.
  const end = rows.at(-1);
  if (end !== undefined && end.first < first) return to;
  while (from < to) {
    const middle = (from + to) >>> 1;
    const row = rows[middle];
    if (row !== undefined && row.first < first) from = middle + 1;
    else to = middle;
  }
  return from;
}
