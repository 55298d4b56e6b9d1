// Limits hold on a machine that has other work, and still are limits.

import { expect, test } from "bun:test";
import { availableParallelism } from "node:os";
import { Stopwatch } from "./stopwatch.ts";

const SPIN = ["sh", "-c", "while :; do :; done"];

test("where nobody waits all time counts", async () => {
  const watch = new Stopwatch(() => 7);
  await Bun.sleep(20);
  const atLeast = watch.wallMs();
  expect(watch.freeMs()).toBeGreaterThanOrEqual(atLeast);
});

test("what was waited does not count, but a tenth of all always does", async () => {
  let waitedMs = 0;
  const watch = new Stopwatch(() => waitedMs);
  await Bun.sleep(20);
  const expectFree = (of: (wallMs: number) => number): void => {
    const atLeast = watch.wallMs();
    const freeMs = watch.freeMs();
    expect(freeMs).toBeGreaterThanOrEqual(of(atLeast));
    expect(freeMs).toBeLessThanOrEqual(of(watch.wallMs()));
  };
  waitedMs = 10;
  expectFree((wallMs) => wallMs - 10);
  waitedMs = 1e6;
  expectFree((wallMs) => wallMs / 10);
});

test("beside three times as many busy loops as cores, most of the time is waiting", async () => {
  const loops = Array.from({ length: 3 * availableParallelism() }, () => Bun.spawn(SPIN));
  try {
    const watch = new Stopwatch();
    while (watch.wallMs() < 500) await new Promise(setImmediate);
    expect(watch.freeMs()).toBeLessThan(watch.wallMs() / 2);
  } finally {
    for (const loop of loops) loop.kill("SIGKILL");
    await Promise.all(loops.map((loop) => loop.exited));
  }
});
