// The newest checkpoint that counts, behind whatever else somebody wrote to its stream.

import { expect, test } from "bun:test";
import { encodeCheckpoint } from "../../src/events/checkpoint-record.ts";
import { newestCheckpoint } from "../../src/events/checkpoint-stream.ts";
import type { EventLog } from "../../src/events/log.ts";
import { MemoryLog } from "../support/log-memory.ts";
import { manualClock } from "../support/manual-clock.ts";

const HASH = new Uint8Array(32).fill(7);

/** A signed note of `size` records, by nobody in particular. */
function note(size: number): string {
  const signature = new Uint8Array(68).toBase64();
  return `heddle/t\n${size}\n${HASH.toBase64()}\n\n— heddle/t ${signature}\n`;
}

/** `sizes` of checkpoints; null is something else. */
async function streamOf(sizes: readonly (number | null)[]) {
  const { log } = new MemoryLog(manualClock()).client();
  for (const [i, size] of sizes.entries()) {
    const payload =
      size === null
        ? new TextEncoder().encode("something else")
        : encodeCheckpoint(note(size), size, [HASH]);
    await log.append({ subject: "heddle-checkpoint.t", payload, id: `${i}` });
  }
  let calls = 0;
  const counted: EventLog = {
    ...log,
    get: (seq) => {
      calls++;
      return log.get(seq);
    },
    read: (...range) => {
      calls++;
      return log.read(...range);
    },
  };
  const newest = async (counts = (_size: number) => true): Promise<number | null> => {
    const { checkpoint } =
      (await newestCheckpoint(counted, sizes.length, (each) => counts(each.checkpoint.size))) ?? {};
    return checkpoint?.size ?? null;
  };
  return { newest, calls: () => calls };
}

test("the last one that counts is found, wherever it stands", async () => {
  for (const junk of [0, 1, 15, 16, 17, 1015, 1016, 1017, 2100]) {
    const foreign: null[] = new Array(junk).fill(null);
    const { newest } = await streamOf([3, 5, 8, ...foreign]);
    expect(await newest()).toBe(8);
    expect(await newest((size) => size < 8)).toBe(5);
    expect(await newest((size) => size > 8)).toBeNull();
  }
});

test("the last of all costs one question, and others' records do not cost one each", async () => {
  const last = await streamOf([3, 5]);
  expect(await last.newest()).toBe(5);
  expect(last.calls()).toBe(1);
  const flooded = await streamOf([3, ...new Array(5000).fill(null)]);
  expect(await flooded.newest()).toBe(3);
  expect(flooded.calls()).toBeLessThan(30);
});
