// States kept at intervals: each is the fold's, and memory is bounded however long the log is.

import { expect, test } from "bun:test";
import { fold } from "../../src/events/fold.ts";
import { encodeState } from "../../src/events/snapshot.ts";
import { initialState } from "../../src/events/state.ts";
import { Checkpoints } from "../../src/http/checkpoints.ts";
import { type History, history } from "../support/history.ts";

function story(turns: number): History {
  const told = history("f").config({ Network: "10.5.0.0/16" });
  for (const i of [1, 2, 3]) told.join(`h${i}`).claim(`h${i}`, [`10.5.${i}.0/24`]);
  for (let i = 0; i < turns; i++) {
    told.peer(`p${i}`, `10.9.${i % 256}.0/24`, `198.19.${i >> 8}.${i % 256}`);
    if (i % 2 === 1) told.removePeer(`p${i - 1}`).removePeer(`p${i}`);
  }
  return told;
}

/** The fold's own text of every state, from 0. */
function keepAll(checkpoints: Checkpoints, told: History): readonly string[] {
  const state = initialState("f");
  const texts = [encodeState(state)];
  for (const record of told.records) {
    fold(state, record);
    checkpoints.offer(state);
    texts.push(encodeState(state));
  }
  return texts;
}

test("the state before a sequence is one of the fold's, and never far before it", () => {
  const checkpoints = new Checkpoints("f", { records: 16 });
  const texts = keepAll(checkpoints, story(100));
  for (let seq = 0; seq < texts.length; seq++) {
    const state = checkpoints.before(seq);
    expect(state.seq).toBeLessThanOrEqual(seq);
    expect(seq - state.seq).toBeLessThan(16);
    expect(encodeState(state)).toBe(texts[state.seq] ?? "");
  }
});

test("whoever gets a state may fold it on without harm to the one kept", () => {
  const told = story(40);
  const checkpoints = new Checkpoints("f", { records: 16 });
  const texts = keepAll(checkpoints, told);
  const state = checkpoints.before(20);
  for (const record of told.records.slice(state.seq)) fold(state, record);
  expect(encodeState(state)).toBe(texts.at(-1) ?? "");
  expect(checkpoints.before(20).seq).toBe(16);
});

test("when memory is short intervals double instead of states being lost", () => {
  const bytesMax = 4000;
  const checkpoints = new Checkpoints("f", { records: 16, bytesMax });
  const texts = keepAll(checkpoints, story(1000));
  expect(checkpoints.bytes).toBeLessThanOrEqual(bytesMax);
  const starts = new Set(texts.map((_, seq) => checkpoints.before(seq).seq));
  expect(starts.size).toBeGreaterThan(3);
  const gaps = [...starts].map((seq, i, all) => (all[i + 1] ?? texts.length) - seq);
  expect(Math.max(...gaps)).toBeLessThanOrEqual(2 * Math.min(...gaps.slice(0, -1)));
  for (const seq of starts) expect(encodeState(checkpoints.before(seq))).toBe(texts[seq] ?? "");
});
