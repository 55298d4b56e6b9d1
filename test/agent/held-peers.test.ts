// Which held entries are idle.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { HeldPeers } from "../../src/agent/held-peers.ts";

const AGEING = { idleMs: 100, keep: 0, most: 10 };

test("goes when it was not used for as long as that, and not a moment before", () => {
  const held = new HeldPeers();
  held.use("10.5.1.0/24", 0);
  held.use("10.5.2.0/24", 50);
  expect(held.age(99, AGEING)).toEqual([]);
  expect(held.age(100, AGEING)).toEqual(["10.5.1.0/24"]);
  expect([...held.subnets()]).toEqual(["10.5.2.0/24"]);
});

test("an older use does not undo a newer one", () => {
  const held = new HeldPeers();
  held.use("10.5.1.0/24", 90);
  const { version } = held;
  held.use("10.5.1.0/24", 10);
  expect(held.version).toBe(version);
  expect(held.age(150, AGEING)).toEqual([]);
});

test("what goes is idle, rests longer than what stays, and leaves those to be kept", () => {
  const uses = fc.array(fc.tuple(fc.nat(20), fc.nat(300)), { maxLength: 40 });
  const ageing = fc.record({ idleMs: fc.nat(200), keep: fc.nat(5), most: fc.integer({ min: 1 }) });
  fc.assert(
    fc.property(uses, ageing, (list, limits) => {
      const held = new HeldPeers();
      const usedMs = new Map<string, number>();
      for (const [peer, atMs] of list) {
        const subnet = `10.5.${peer}.0/24`;
        held.use(subnet, atMs);
        usedMs.set(subnet, Math.max(atMs, usedMs.get(subnet) ?? 0));
      }
      const aged = held.age(300, limits);
      expect(aged.length).toBeLessThanOrEqual(limits.most);
      expect(held.size).toBe(usedMs.size - aged.length);
      expect(held.size).toBeGreaterThanOrEqual(Math.min(limits.keep, usedMs.size));
      const latest = Math.max(...aged.map((subnet) => usedMs.get(subnet) ?? 0), -1);
      expect(300 - latest).toBeGreaterThanOrEqual(aged.length === 0 ? 0 : limits.idleMs);
      for (const subnet of held.subnets()) {
        const isIdle = 300 - (usedMs.get(subnet) ?? 0) >= limits.idleMs;
        if (isIdle && held.size > limits.keep && aged.length < limits.most) {
          expect(usedMs.get(subnet)).toBeGreaterThanOrEqual(latest);
        }
      }
    }),
  );
});
