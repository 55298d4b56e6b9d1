import { expect, test } from "bun:test";
import fc from "fast-check";
import { overlaps, prefixOf } from "../../src/events/address.ts";
import { parseNetworkConfig } from "../../src/events/network-config.ts";
import { indicesOf, inPool, type Pool, poolSize, subnetAt } from "../../src/events/pool.ts";
import { prefix } from "../support/arbitraries.ts";

function poolOf(document: object): Pool {
  const parsed = parseNetworkConfig(document);
  if (!parsed.ok) throw new Error(parsed.reason);
  const pool = parsed.config.ipv4 ?? parsed.config.ipv6;
  if (pool === null) throw new Error("no pool");
  return pool;
}

const six = (IPv6Network: string) => ({ EnableIPv4: false, EnableIPv6: true, IPv6Network });
const v4 = poolOf({ Network: "10.5.0.0/22", SubnetLen: 26, SubnetMax: "10.5.3.0" });
const v6 = poolOf(six("fd00:5::/60"));

test("subnets are numbered from SubnetMin to SubnetMax", () => {
  expect([poolSize(v4), subnetAt(v4, 0n), subnetAt(v4, poolSize(v4) - 1n)]).toEqual([
    12n,
    "10.5.0.64/26",
    "10.5.3.0/26",
  ]);
  expect([poolSize(v6), subnetAt(v6, 0n)]).toEqual([15n, "fd00:5:0:1::/64"]);
  expect(poolSize(poolOf(six("fd00::/8")))).toBe(2n ** 56n - 1n);
});

test.each([
  ["10.5.0.64/26", true],
  ["10.5.3.0/26", true],
  ["10.5.0.0/26", false],
  ["10.5.3.64/26", false],
  ["10.5.0.64/27", false],
  ["10.5.0.0/24", false],
  ["10.6.0.64/26", false],
  ["fd00:5:0:1::/64", false],
])("%s in the pool: %p", (subnet, expected) => {
  expect(inPool(v4, subnet)).toBe(expected);
});

test("the numbers that a prefix touches are those of the subnets that it overlaps", () => {
  const near = fc.oneof(
    prefix,
    fc.tuple(fc.integer({ min: 18, max: 32 }), fc.nat(0xfff)).map(([length, at]) => {
      const base = ((10 << 24) | (5 << 16) | at) & (-1 << (32 - length));
      const octets = [24, 16, 8, 0].map((shift) => (base >>> shift) & 255);
      return `${octets.join(".")}/${length}`;
    }),
  );
  fc.assert(
    fc.property(near, fc.constantFrom(v4, v6), (cidr, pool) => {
      const range = indicesOf(pool, cidr);
      for (let index = 0n; index < poolSize(pool); index++) {
        const touched = overlaps(prefixOf(cidr), prefixOf(subnetAt(pool, index)));
        expect(range !== null && range.first <= index && index <= range.last).toBe(touched);
      }
    }),
    { numRuns: 300 },
  );
});
