// Slots of peers that come and go for longer than there are slots, against what must hold of them.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { PeerSlots } from "../../src/ffi/peer-slots.ts";

const NAMES = 40;
const names = fc.uniqueArray(
  fc.nat(NAMES).map((n) => `h${n}`),
  { maxLength: 12 },
);
/** Who is there from now on, of which slots a thread still counts, and whether the table fails. */
const steps = fc.array(fc.record({ names, counted: fc.nat(3), fails: fc.boolean() }), {
  maxLength: 60,
});

describe("slots of peers", () => {
  test("have one owner until they are free", () => {
    fc.assert(
      fc.property(steps, (history) => {
        const slots = new PeerSlots(8);
        // Slots that the packet path has: of the table now, and of tables that a thread reads
        let table = new Map<string, number>();
        let counted = new Set<number>();
        for (const step of history) {
          slots.free((left) => {
            const inUse = new Set(table.values());
            counted = new Set(left.filter((slot) => slot % 4 < step.counted || inUse.has(slot)));
            return counted;
          });
          const given = slots.assign(step.names);
          for (const slot of given.values()) {
            expect(counted.has(slot)).toBe(false);
            expect([...table.values()]).not.toContain(slot);
          }
          const next = new Map(step.names.map((name) => [name, slots.of(name)]));
          expect(new Set(next.values()).size).toBe(next.size);
          if (step.fails) continue;
          slots.retain(new Set(step.names));
          table = next;
          expect([...slots.held().keys()].sort()).toEqual([...step.names].sort());
        }
      }),
    );
  });

  test("suffice for any number of names over time", () => {
    const slots = new PeerSlots(4);
    for (let n = 0; n < 1000; n += 1) {
      slots.free(() => []);
      slots.assign(["always", `h${n}`]);
      slots.retain(new Set(["always", `h${n}`]));
      expect(slots.of(`h${n}`)).toBeLessThan(4);
      expect(slots.of("always")).toBe(0);
    }
    expect(slots.end).toBe(3);
  });

  test("in the kernel go to who had none, once there are some", () => {
    const slots = new PeerSlots(2);
    slots.assign(["a", "b", "c"]);
    slots.retain(new Set(["a", "b", "c"]));
    expect(slots.assign(["b", "c"]).size).toBe(0);
    slots.retain(new Set(["b", "c"]));
    slots.free(() => []);
    expect(slots.assign(["b", "c"])).toEqual(new Map([["c", 0]]));
    slots.retain(new Set(["b", "c"]));
    slots.free((left) => {
      expect(left).toEqual([2]);
      return [];
    });
  });

  test("of a predecessor stay with their names, and others are between them", () => {
    const slots = new PeerSlots(8);
    slots.adopt([
      { name: "b", slot: 4 },
      { name: "a", slot: 1 },
      { name: "a", slot: 1 },
    ]);
    slots.assign(["a", "b", "c", "d", "e", "f"]);
    expect(["a", "b", "c", "d", "e", "f"].map((name) => slots.of(name))).toEqual([
      1, 4, 0, 2, 3, 5,
    ]);
  });
});
