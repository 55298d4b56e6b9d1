// Garbage is collected as the process grows, for engines whose timers are off.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { collectAsItGrows } from "../../src/agent/collect.ts";
import { manualClock } from "../support/manual-clock.ts";
import { mortal } from "../support/mortal.ts";
import { ROOT } from "../support/tidy-tree.ts";

function memory() {
  const clock = manualClock();
  const stop = new AbortController();
  const seen = { bytes: 100, alive: 100, collections: 0 };
  const collect = (): void => {
    seen.collections++;
    seen.bytes = seen.alive;
  };
  const done = collectAsItGrows({ clock, residentBytes: () => seen.bytes, collect }, stop.signal);
  return { clock, stop, seen, done };
}

test("what grew by a third is collected, once", async () => {
  const { clock, seen } = memory();
  seen.bytes = 129;
  await clock.advance(10_000);
  expect(seen.collections).toBe(0);
  seen.bytes = 131;
  await clock.advance(1000);
  expect(seen.collections).toBe(1);
  await clock.advance(10_000);
  expect(seen.collections).toBe(1);
});

test("what is alive now counts, not what was at first", async () => {
  const { clock, seen } = memory();
  Object.assign(seen, { bytes: 200, alive: 180 });
  await clock.advance(1000);
  seen.bytes = 230;
  await clock.advance(10_000);
  expect(seen.collections).toBe(1);
  seen.bytes = 235;
  await clock.advance(1000);
  expect(seen.collections).toBe(2);
});

test("what was given back without us counts as well", async () => {
  const { clock, seen } = memory();
  Object.assign(seen, { bytes: 50, alive: 50 });
  await clock.advance(1000);
  seen.bytes = 70;
  await clock.advance(1000);
  expect(seen.collections).toBe(1);
});

test("it ends when it is told to", async () => {
  const { clock, stop, seen, done } = memory();
  seen.bytes = 140;
  stop.abort();
  await done;
  expect([seen.collections, clock.pending]).toEqual([0, 0]);
});

test("an engine without timers collects when it is told to", async () => {
  const script = `
    const { collect, residentBytes } = await import("${join(ROOT, "src/agent/os-memory.ts")}");
    const made = Array.from({ length: 1000 }, (_, i) => new WeakRef({ i }));
    // What a turn of the event loop made or looked at is kept until it is over.
    const turn = () => new Promise(setImmediate);
    const alive = () => made.filter((one) => one.deref() !== undefined).length;
    await turn();
    collect();
    while (alive() > 100) await turn();
    console.log(residentBytes() > 0);
  `;
  const env = { BUN_GC_TIMER_DISABLE: "1", BUN_JSC_percentCPUPerMBForEdenTimer: "0.0001" };
  const child = Bun.spawn(mortal([process.execPath, "-e", script]), { env, stdout: "pipe" });
  expect(await new Response(child.stdout).text()).toBe("true\n");
});
