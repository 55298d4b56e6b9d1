import { expect, test } from "bun:test";
import fc from "fast-check";
import { extend, genesis } from "../../src/agent/chain.ts";
import { LazyChain } from "../../src/agent/lazy-chain.ts";
import type { Recorded } from "../../src/events/log.ts";

const record = (seq: number, payload: Uint8Array): Recorded => ({
  ...{ seq, timeMs: seq, payload },
  subject: "heddle.t.node.h1.member",
});

test("the chain is the same whenever it is asked for", () => {
  const passed = fc.array(
    fc.record({ payload: fc.uint8Array({ maxLength: 40 }), ask: fc.boolean() }),
  );
  fc.assert(
    fc.property(passed, (records) => {
      const lazy = new LazyChain(genesis, 64);
      let known = genesis;
      for (const [i, { payload, ask }] of records.entries()) {
        const each = record(i + 1, payload);
        known = extend(known, each);
        lazy.pass(each);
        if (ask) expect(lazy.now()).toEqual(known);
      }
      expect(lazy.now()).toEqual(known);
      expect(lazy.now()).toEqual(known);
    }),
  );
});

test("a chain that was handed out does not change", () => {
  const lazy = new LazyChain(genesis, 64);
  lazy.pass(record(1, Uint8Array.of(1)));
  const one = lazy.now();
  const copy = { hash: Uint8Array.from(one.hash), tip: Uint8Array.from(one.tip) };
  lazy.pass(record(2, Uint8Array.of(2)));
  lazy.now();
  expect(one).toEqual(copy);
});

test("no more bytes of payload are kept than was said: what came before is hashed", () => {
  const kept = (records: number) => {
    const payload = new Uint8Array(100);
    const [lazy, before] = [new LazyChain(genesis, 1000), new LazyChain(genesis, 1000)];
    for (let seq = 1; seq <= records; seq++) lazy.pass(record(seq, payload));
    for (let seq = 1; seq <= records; seq++) before.pass(record(seq, payload));
    const expected = before.now();
    // Whoever still has the bytes sees them change.
    payload.fill(1);
    return lazy.now().hash.join() !== expected.hash.join();
  };
  expect(kept(10)).toBe(true);
  expect(kept(11)).toBe(false);
});
