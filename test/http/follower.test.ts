// What "as of now" costs the log's server.

import { afterEach, expect, test } from "bun:test";
import type { EventLog, LogInfo } from "../../src/events/log.ts";
import { createFollower, type Follower } from "../../src/http/follower.ts";
import { history } from "../support/history.ts";
import { realClock } from "../support/real-clock.ts";

let stop = new AbortController();
afterEach(() => {
  stop.abort();
  stop = new AbortController();
});

const story = history("f").config({ Network: "10.5.0.0/16" });

/** Questions for the end of the log are answered when the test says so. */
async function asked(): Promise<{ follower: Follower; open: ((seq?: number) => void)[] }> {
  const open: ((seq?: number) => void)[] = [];
  let isHeld = false;
  const infoAt = (lastSeq: number): LogInfo => {
    return { created: "x", firstSeq: 1, lastSeq, server: "2.9.10" };
  };
  const log = {
    info: () => {
      if (!isHeld) return Promise.resolve(infoAt(1));
      return new Promise<LogInfo>((resolve) => open.push((seq = 1) => resolve(infoAt(seq))));
    },
    get: async () => null,
    async *read(from: number, signal: AbortSignal) {
      yield story.records.slice(from - 1);
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    },
  } as unknown as EventLog;
  const follower = createFollower({ log, clock: realClock, fabric: "f" });
  void follower.run(stop.signal);
  expect(await follower.reached(1, 5000)).toBeTrue();
  isHeld = true;
  return { follower, open };
}

const turn = () => new Promise(setImmediate);

test("a thousand who ask at once are one question, and those who come later one more", async () => {
  const { follower, open } = await asked();
  const first = Array.from({ length: 1000 }, () => follower.fresh());
  await turn();
  expect(open).toHaveLength(1);
  const later = Array.from({ length: 1000 }, () => follower.fresh());
  await turn();
  expect(open).toHaveLength(1);
  open[0]?.();
  expect(new Set(await Promise.all(first))).toEqual(new Set([null]));
  await turn();
  expect(open).toHaveLength(2);
  open[1]?.();
  expect(new Set(await Promise.all(later))).toEqual(new Set([null]));
});

test("nobody gets an answer that was asked for before he came", async () => {
  const { follower, open } = await asked();
  const first = follower.fresh();
  await turn();
  let later: string | null | undefined;
  const done = follower.fresh().then((stale) => {
    later = stale;
  });
  open[0]?.();
  expect(await first).toBeNull();
  await turn();
  expect(later).toBeUndefined();
  open[1]?.();
  await done;
  expect(later).toBeNull();
});
