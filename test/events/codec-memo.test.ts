// What a decoder remembers, and when it stops looking: seen by the identity of data, which is that
// of what was remembered once a record is recognised.

import { expect, test } from "bun:test";
import { decode, encode } from "../../src/events/codec.ts";
import { CodecMemo } from "../../src/events/codec-memo.ts";
import { FABRIC } from "../support/arbitraries.ts";

/** So many records, and one is looked at three times although nothing else was met again. */
const OFTEN = 5000;

function reader() {
  const memo = new CodecMemo();
  const payloadOf = (node: string) => encode({ type: "HostRecovered", data: { node } }, "a");
  const data = (node: string): unknown => {
    const subject = `heddle.${FABRIC}.node.${node}.report`;
    const record = { seq: 1, timeMs: 1, subject, payload: payloadOf(node) };
    const decoded = decode(FABRIC, record, memo);
    if (!decoded.ok) throw new Error(decoded.reason);
    return decoded.event.data;
  };
  const strangers = (count: number): void => {
    for (let i = 0; i < count; i++) data(`stranger-${i}`);
  };
  return { memo, payloadOf, data, strangers };
}

test("what is read a third time is what was read the second time", () => {
  const { data } = reader();
  const first = data("h1");
  const second = data("h1");
  expect(second).not.toBe(first);
  expect(data("h1")).toBe(second);
});

test.each([1, 7, 32, 100, 999])("in a log of strangers %d that come round are noticed", (count) => {
  const { data, strangers } = reader();
  strangers(20_000);
  const round = () => Array.from({ length: count }, (_, i) => data(`known-${i}`));
  for (let i = 0; i < 10 + OFTEN / count; i++) round();
  const last = round();
  const shared = round().filter((each, i) => each === last[i]);
  // Of those that have one hash only one is remembered.
  expect(shared.length).toBeGreaterThan(0.98 * count - 1);
});

test("of strangers one in thirty-two is looked at, at uneven distances", () => {
  const { memo, payloadOf, strangers } = reader();
  strangers(20_000);
  const payload = payloadOf("h1");
  const looks: number[] = [];
  for (let i = 0; i < 10_000; i++) if (memo.placeOf(payload) !== null) looks.push(i);
  expect(Math.round(10_000 / looks.length)).toBeWithin(31, 35);
  const distances = looks.slice(1).map((at, i) => at - (looks[i] ?? 0));
  expect(new Set(distances).size).toBe(64);
});

test("where something was recognised, strangers are taken note of for a while", () => {
  const { data, strangers } = reader();
  for (let time = 1; time <= 3; time++) data("h1");
  strangers(1000);
  data("again");
  const kept = data("again");
  expect(data("again")).toBe(kept);
});
