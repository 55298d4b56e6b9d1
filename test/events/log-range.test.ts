// Reading a part of the log, with readers that end before it does.

import { expect, test } from "bun:test";
import { type EventLog, LogError, type LogErrorKind } from "../../src/events/log.ts";
import { rangeOf } from "../../src/events/log-range.ts";
import { history } from "../support/history.ts";

const story = history("r").config({ Network: "10.5.0.0/16" });
for (let i = 1; i <= 9; i++) story.join(`h${i}`);
const { records } = story;

/** Each reader brings `count` records and then fails. */
function breaking(count: number, kind: LogErrorKind) {
  const begun: number[] = [];
  const log: Pick<EventLog, "read"> = {
    async *read(from, _signal, { last = records.length } = {}) {
      begun.push(from);
      yield records.slice(from - 1, Math.min(last, from - 1 + count));
      if (from - 1 + count < last) throw new LogError(kind, "the server fell silent");
    },
  };
  return { log: log as EventLog, begun };
}

async function seqs(log: EventLog, from: number, last: number): Promise<number[]> {
  const found: number[] = [];
  for await (const { seq } of rangeOf(log, from, last)) found.push(seq);
  return found;
}

test("a reader that breaks off is followed by another, and nothing comes twice", async () => {
  const { log, begun } = breaking(3, "unreachable");
  expect(await seqs(log, 2, 9)).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
  expect(begun).toEqual([2, 5, 8]);
});

test("what brings nothing, or is no lost reader, ends it", async () => {
  const silent = breaking(0, "unreachable");
  await expect(seqs(silent.log, 1, 5)).rejects.toThrow("fell silent");
  const holed = breaking(3, "gap");
  await expect(seqs(holed.log, 1, 5)).rejects.toThrow("fell silent");
  expect([silent.begun, holed.begun]).toEqual([[1], [1]]);
});

test("a range of nothing asks for nothing", async () => {
  const { log, begun } = breaking(3, "unreachable");
  expect([await seqs(log, 5, 4), begun]).toEqual([[], []]);
});
