import { expect, test } from "bun:test";
import { createWaker } from "../../src/agent/waker.ts";
import { manualClock, settle } from "../support/manual-clock.ts";

function watched(promise: Promise<void>) {
  const seen = { done: false };
  void promise.then(() => {
    seen.done = true;
  });
  return seen;
}

test("a wait ends at a wake-up, and its timer with it", async () => {
  const clock = manualClock();
  const waker = createWaker(clock);
  const wait = watched(waker.wait(1000, new AbortController().signal));
  await settle();
  expect(wait.done).toBe(false);
  waker.wake();
  await settle();
  expect(wait.done).toBe(true);
  expect(clock.pending).toBe(0);
});

test("a wait ends after its time", async () => {
  const clock = manualClock();
  const wait = watched(createWaker(clock).wait(1000, new AbortController().signal));
  await clock.advance(999);
  expect(wait.done).toBe(false);
  await clock.advance(1);
  expect(wait.done).toBe(true);
});

test("wake-ups that come while nobody waits are one, and not lost", async () => {
  const waker = createWaker(manualClock());
  const { signal } = new AbortController();
  waker.wake();
  waker.wake();
  const first = watched(waker.wait(null, signal));
  await settle();
  expect(first.done).toBe(true);
  const second = watched(waker.wait(null, signal));
  await settle();
  expect(second.done).toBe(false);
});

test("a wait ends when its loop is told to end, before or during", async () => {
  const waker = createWaker(manualClock());
  const stop = new AbortController();
  const during = watched(waker.wait(null, stop.signal));
  stop.abort();
  const before = watched(waker.wait(null, stop.signal));
  await settle();
  expect([during.done, before.done]).toEqual([true, true]);
});
