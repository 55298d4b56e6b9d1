// The routing table of the packet path against a linear scan over all prefixes.

import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { bitsOf, formatPrefix, fromNumber, ipBytes, prefixOf } from "../../src/events/address.ts";
import { encodePrefixes } from "../../src/ffi/tunnel-encode.ts";
import { OWN } from "../../src/ffi/tunnel-native.ts";
import { loadPure } from "../../src/ffi/tunnel-pure.ts";
import { nativeTestLibrary } from "../support/tunnel-build.ts";

const pure = loadPure(nativeTestLibrary());
const NONE = 0xfffffffe;

const families = fc.constantFrom("ipv4" as const, "ipv6" as const);
/** Few distinct addresses, so that prefixes nest, touch and repeat. */
const addresses = fc
  .tuple(families, fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 3 }))
  .map(([family, high, low]) => {
    const shift = BigInt(bitsOf(family) - 8);
    return { family, base: (BigInt(high) << shift) | BigInt(low) };
  });
const prefixes = fc
  .tuple(addresses, fc.integer({ min: 0, max: 32 }), fc.boolean())
  .map(([{ family, base }, bits, long]) => {
    const length = long ? bitsOf(family) - (bits % 9) : bits;
    const host = (1n << BigInt(bitsOf(family) - length)) - 1n;
    return formatPrefix({ family, base: base & ~host, length });
  });

function scan(rows: readonly { cidr: string; answer: number }[], family: string, base: bigint) {
  let best = { length: -1, answer: NONE };
  for (const { cidr, answer } of rows) {
    const prefix = prefixOf(cidr);
    const shift = BigInt(bitsOf(prefix.family) - prefix.length);
    if (prefix.family !== family || prefix.base >> shift !== base >> shift) continue;
    if (prefix.length >= best.length) best = { length: prefix.length, answer };
  }
  return best.answer;
}

test("the longest prefix wins, and of equal ones the later", () => {
  fc.assert(
    fc.property(
      fc.array(prefixes, { maxLength: 40 }),
      fc.array(addresses, { minLength: 1, maxLength: 40 }),
      fc.nat(5),
      (list, wanted, own) => {
        const peers = list.slice(own).map((subnet, i) => ({
          name: `p${i}`,
          subnets: [subnet],
          endpoint: { ip: "198.18.0.9", port: 1 },
          capabilities: [],
        }));
        const ours = list.slice(0, own);
        const rows = [
          ...peers.map(({ subnets }, answer) => ({ cidr: subnets[0] ?? "", answer })),
          ...ours.map((cidr) => ({ cidr, answer: OWN })),
        ];
        // The edges of every prefix too, where a range ends
        const edges = rows.flatMap(({ cidr }) => {
          const { family, base, length } = prefixOf(cidr);
          const size = 1n << BigInt(bitsOf(family) - length);
          const all = 1n << BigInt(bitsOf(family));
          return [base, base + size - 1n, (base + size) % all].map((at) => ({ family, base: at }));
        });
        const asked = [...wanted, ...edges];
        const bytes = new Uint8Array(asked.length * 17);
        for (const [i, { family, base }] of asked.entries()) {
          bytes[i * 17] = family === "ipv4" ? 4 : 6;
          bytes.set(ipBytes(fromNumber(family, base)), i * 17 + 1);
        }
        const found = Array.from(pure.lpm(encodePrefixes(peers, ours), bytes));
        expect(found).toEqual(asked.map(({ family, base }) => scan(rows, family, base)));
      },
    ),
    { numRuns: 300 },
  );
});
