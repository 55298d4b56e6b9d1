// Where reading the past begins and ends, on the log in memory.

import { expect, test } from "bun:test";
import type { EventLog } from "../../src/events/log.ts";
import { foldOn, foldTo, type Until } from "../../src/events/past.ts";
import { isoTime, parsePoint } from "../../src/events/point.ts";
import { history } from "../support/history.ts";

const story = history("p").config({ Network: "10.5.0.0/16" });
for (let i = 1; i <= 5; i++) story.wait(1000).join(`h${i}`);
const { records } = story;
const HEAD = records.length;

/** Only what reading needs: batches of two, then silence until the reader leaves. */
function logOf(firstSeq = 1, stored = records): EventLog {
  const unused = () => Promise.reject(new Error("not used"));
  return {
    info: async () => ({ created: "x", firstSeq, lastSeq: stored.length, server: "2.9.10" }),
    get: unused,
    append: unused,
    async *read(from, _signal, { last } = {}) {
      const wanted = stored.slice(0, last);
      for (let i = from - 1; i < wanted.length; i += 2) yield wanted.slice(i, i + 2);
      if (last === undefined) await new Promise(() => undefined);
    },
  };
}

function until(text: string): Until {
  const point = parsePoint(text);
  if (point === null) throw new Error(text);
  return { name: "--at", point };
}

const timeOf = (seq: number): number => records[seq - 1]?.timeMs ?? Number.NaN;
const nowMs = timeOf(HEAD) + 60_000;
const seqAt = async (text: string): Promise<number> =>
  (await foldTo(logOf(), "p", until(text), nowMs)).seq;

test("a sequence is folded to and including that record", async () => {
  for (const seq of [1, 2, 3, HEAD]) expect(await seqAt(String(seq))).toBe(seq);
  expect((await foldTo(logOf(), "p", null, nowMs)).seq).toBe(HEAD);
});

test("a time is after every record stamped at or before it", async () => {
  for (const seq of [1, 2, 5]) {
    expect(await seqAt(isoTime(timeOf(seq)))).toBe(seq);
    expect(await seqAt(isoTime(timeOf(seq + 1) - 1))).toBe(seq);
  }
  expect(await seqAt(isoTime(nowMs))).toBe(HEAD);
  expect(await seqAt("60s")).toBe(HEAD);
});

test("places that the log does not have are refused by name", async () => {
  await expect(seqAt(String(HEAD + 1))).rejects.toThrow(
    `--at ${HEAD + 1}: the log ends at ${HEAD}`,
  );
  const early = isoTime(timeOf(1) - 1);
  await expect(seqAt(early)).rejects.toThrow(
    `--at ${early}: the log begins at ${isoTime(timeOf(1))}`,
  );
  const late = isoTime(nowMs + 1);
  await expect(seqAt(late)).rejects.toThrow(`--at ${late}: is in the future`);
  await expect(foldTo(logOf(1, []), "p", until("1"), nowMs)).rejects.toThrow("the log is empty");
});

test("an empty log without a place is the state before everything", async () => {
  expect((await foldTo(logOf(1, []), "p", null, nowMs)).seq).toBe(0);
});

test("a log that lost its beginning is refused, for its fold would be wrong", async () => {
  await expect(foldTo(logOf(3), "p", null, nowMs)).rejects.toThrow("at sequence 3, not 1");
});

test("folding on from a state gives the same as folding at once", async () => {
  const state = await foldTo(logOf(), "p", until("2"), nowMs);
  await foldOn(logOf(), state, null, nowMs);
  expect(state).toEqual(await foldTo(logOf(), "p", null, nowMs));
});
