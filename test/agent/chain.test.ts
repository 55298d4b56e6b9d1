import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import fc from "fast-check";
import {
  type Chain,
  extend,
  extendAll,
  fromHex,
  genesis,
  hex,
  recordHash,
} from "../../src/agent/chain.ts";
import type { Recorded } from "../../src/events/log.ts";

const record: Recorded = {
  seq: 7,
  timeMs: 1_893_456_000_000,
  subject: "heddle.t.node.h1.member",
  payload: new TextEncoder().encode('{"type":"NodeLeft"}'),
};
const chainOf = (records: readonly Recorded[]): Chain => records.reduce(extend, genesis);

test("a record's hash is SHA-256 over its sequence, time, subject and bytes", () => {
  const text = '7 1893456000000 heddle.t.node.h1.member\n{"type":"NodeLeft"}';
  expect(hex(recordHash(record))).toBe(createHash("sha256").update(text).digest("hex"));
});

test("the chain hashes what was before together with the record's hash", () => {
  const tip = createHash("sha256")
    .update('7 1893456000000 heddle.t.node.h1.member\n{"type":"NodeLeft"}')
    .digest();
  const hash = createHash("sha256").update(Buffer.alloc(32)).update(tip).digest("hex");
  const chain = extend(genesis, record);
  expect([hex(chain.hash), hex(chain.tip)]).toEqual([hash, tip.toString("hex")]);
});

test("a chain that was written down and read goes on as if it had not been", () => {
  const before = extend(genesis, record);
  const read = { hash: fromHex(hex(before.hash)), tip: fromHex(hex(before.tip)) };
  expect(extend(read, { ...record, seq: 8 })).toEqual(extend(before, { ...record, seq: 8 }));
});

const records = fc.array(
  fc.record({
    seq: fc.nat(),
    timeMs: fc.nat(),
    subject: fc.stringMatching(/^[a-z.]{0,20}$/),
    payload: fc.uint8Array({ maxLength: 40 }),
  }),
  { minLength: 1, maxLength: 8 },
);

test("two logs that differ anywhere differ in the chain from there on", () => {
  fc.assert(
    fc.property(
      records,
      fc.nat(),
      fc.constantFrom("seq", "timeMs", "subject", "payload"),
      (all, at, what) => {
        const index = at % all.length;
        const changed = all.map((each, i) => (i === index ? alter(each, what) : each));
        expect(hex(chainOf(changed).hash)).not.toBe(hex(chainOf(all).hash));
        expect(hex(chainOf(all.slice(1)).hash)).not.toBe(hex(chainOf(all).hash));
      },
    ),
  );
});

test("many records at once give the chain that they give one by one", () => {
  fc.assert(
    fc.property(records, records, (before, after) => {
      const known = chainOf(before);
      expect(extendAll(known, after)).toEqual(after.reduce(extend, known));
      expect(extendAll(known, [])).toEqual(known);
    }),
  );
});

function alter(each: Recorded, what: string): Recorded {
  switch (what) {
    case "seq":
      return { ...each, seq: each.seq + 1 };
    case "timeMs":
      return { ...each, timeMs: each.timeMs + 1 };
    case "subject":
      return { ...each, subject: `${each.subject}x` };
    default:
      return { ...each, payload: Uint8Array.of(...each.payload, 0) };
  }
}
