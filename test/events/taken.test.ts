import { expect, test } from "bun:test";
import fc from "fast-check";
import { formatPrefix, networkBase, overlaps, prefixOf } from "../../src/events/address.ts";
import { giveBack, inTheWay, noneTaken, take } from "../../src/events/taken.ts";

/** Prefixes so close together that many overlap. */
const cidr = fc
  .record({
    six: fc.boolean(),
    at: fc.bigInt({ min: 0n, max: 0x3ffn }),
    short: fc.integer({ min: 0, max: 10 }),
  })
  .map(({ six, at, short }) => {
    const prefix = six
      ? { family: "ipv6" as const, base: (0xfd00n << 112n) + at, length: 128 - short }
      : { family: "ipv4" as const, base: 0x0a000000n + at, length: 32 - short };
    return formatPrefix({ ...prefix, base: networkBase(prefix) });
  });

test("who is in the way is the same as by a look at everybody", () => {
  const step = fc.record({ subnet: cidr, back: fc.boolean(), peer: fc.option(fc.constant("p")) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), cidr, (steps, asked) => {
      const taken = noneTaken();
      const all = new Map<string, string | null>();
      const clashes = (subnet: string) =>
        [...all.keys()].filter((held) => overlaps(prefixOf(held), prefixOf(subnet)));
      for (const { subnet, back, peer } of steps) {
        expect([...inTheWay(taken, subnet)].map((row) => row.subnet).sort()).toEqual(
          clashes(subnet).sort(),
        );
        if (back) {
          giveBack(taken, subnet);
          all.delete(subnet);
        } else if (clashes(subnet).length === 0) {
          take(taken, subnet, peer);
          all.set(subnet, peer);
        }
      }
      const found = [...inTheWay(taken, asked)].map((row) => [row.subnet, row.peer] as const);
      expect(new Map(found)).toEqual(
        new Map(clashes(asked).map((held) => [held, all.get(held) ?? null] as const)),
      );
    }),
  );
});

test("what was taken in another order is the same", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat({ max: 255 })), (numbers) => {
      const of = (order: readonly number[]) => {
        const taken = noneTaken();
        for (const n of order) take(taken, `10.0.${n}.0/24`, null);
        return taken;
      };
      expect(of(numbers)).toEqual(of(numbers.toSorted((a, b) => a - b)));
    }),
  );
});
