// What a watcher of the board makes of its entries.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { createBoardWatch } from "../../src/agent/board-watch.ts";
import { type BoardHost, FRESH_MS } from "../../src/agent/live-hosts.ts";
import { BOARD_AGE_MS } from "../../src/events/status-board.ts";
import { MemoryLog } from "../support/log-memory.ts";
import { manualClock } from "../support/manual-clock.ts";

const BEAT_MS = 5000;

let clock = manualClock();
let board = new MemoryLog(clock).client().status;
let stop = new AbortController();

beforeEach(() => {
  clock = manualClock(Date.UTC(2030, 0, 1));
  board = new MemoryLog(clock).client().status;
  stop = new AbortController();
});
afterEach(() => stop.abort());

async function show(node: string, applied: number, state = "ready"): Promise<void> {
  const entry = { node, seq: { applied, head: applied }, state, problems: [] };
  await board.publish(node, new TextEncoder().encode(JSON.stringify(entry)));
}

async function watching() {
  const watch = createBoardWatch({ board, clock, wallMs: () => clock.nowMs() });
  void watch.run(stop.signal);
  await clock.advance(0);
  return watch;
}

const names = (hosts: readonly BoardHost[]): string[] => hosts.map(({ node }) => node).sort();

test("live is who showed itself lately and does not stop", async () => {
  await show("old", 1);
  await clock.advance(FRESH_MS + 1);
  await show("h1", 1);
  await show("h2", 1);
  const watch = await watching();
  expect(names(watch.live())).toEqual(["h1", "h2"]);
  await show("h2", 2, "stopping");
  await clock.advance(BEAT_MS);
  expect(names(watch.live())).toEqual(["h1"]);
  await show("old", 3);
  await clock.advance(FRESH_MS - BEAT_MS + 1);
  expect(watch.live()).toMatchObject([{ node: "old", applied: 3 }]);
});

test("an entry is forgotten when the board has forgotten it", async () => {
  const watch = await watching();
  await show("ci-1", 1);
  await show("stays", 1);
  await clock.advance(BOARD_AGE_MS - BEAT_MS);
  await show("stays", 2);
  await clock.advance(BEAT_MS);
  expect(watch.entries().map(({ node }) => node)).toEqual(["ci-1", "stays"]);
  await show("stays", 3);
  await clock.advance(0);
  expect(watch.entries().map(({ node }) => node)).toEqual(["stays"]);
});
