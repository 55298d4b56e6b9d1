// The subnets a fabric can lease in one family: numbered from 0 between SubnetMin and SubnetMax.

import {
  type Cidr,
  type Family,
  formatPrefix,
  hostPrefix,
  type Ip,
  prefixOf,
  type Span,
  sizeOf,
  spanOf,
  toNumber,
} from "./address.ts";

export interface Pool {
  readonly family: Family;
  /** What the fabric spans; containers everywhere route all of it to the overlay. */
  readonly network: Cidr;
  readonly subnetLen: number;
  readonly subnetMin: Ip;
  readonly subnetMax: Ip;
}

/** How many subnets the pool holds. */
export function poolSize(pool: Pool): bigint {
  const first = toNumber(pool.subnetMin);
  const last = toNumber(pool.subnetMax);
  return (last - first) / sizeOf(pool.family, pool.subnetLen) + 1n;
}

/** The subnet number `index`, counted from SubnetMin. */
export function subnetAt(pool: Pool, index: bigint): Cidr {
  const base = toNumber(pool.subnetMin) + index * sizeOf(pool.family, pool.subnetLen);
  return formatPrefix({ family: pool.family, base, length: pool.subnetLen });
}

/** Numbers of subnets, both ends included. */
export interface IndexRange {
  readonly first: bigint;
  readonly last: bigint;
}

/** Which subnets of the pool share an address with `cidr`, or null when none does. */
export function indicesOf(pool: Pool, cidr: Cidr): IndexRange | null {
  const { family, base, length } = prefixOf(cidr);
  if (family !== pool.family) return null;
  const min = toNumber(pool.subnetMin);
  const end = base + sizeOf(family, length) - 1n - min;
  if (end < 0n) return null;
  const unit = sizeOf(family, pool.subnetLen);
  const first = base < min ? 0n : (base - min) / unit;
  const top = poolSize(pool) - 1n;
  if (first > top) return null;
  const last = end / unit;
  return { first, last: last < top ? last : top };
}

/** True when `subnet` is one of the subnets that the pool leases. */
export function inPool(pool: Pool, subnet: Cidr): boolean {
  const { family, first, last } = spanOf(subnet);
  const { suffix, network, min, max } = boundsOf(pool);
  if (family !== pool.family || !subnet.endsWith(suffix)) return false;
  return first >= network.first && last <= network.last && first >= min && first <= max;
}

interface Bounds {
  /** Of every subnet: its length. */
  readonly suffix: string;
  readonly network: Span;
  readonly min: Span["first"];
  readonly max: Span["first"];
}

/** Every claim of a log asks for them. */
const bounds = new WeakMap<Pool, Bounds>();

function boundsOf(pool: Pool): Bounds {
  const known = bounds.get(pool);
  if (known !== undefined) return known;
  const made = {
    suffix: `/${pool.subnetLen}`,
    network: spanOf(pool.network),
    min: spanOf(hostPrefix(pool.subnetMin)).first,
    max: spanOf(hostPrefix(pool.subnetMax)).first,
  };
  bounds.set(pool, made);
  return made;
}
