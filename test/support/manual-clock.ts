// A clock that stands still until a test turns it. Timers run in the order of their time, and the
// microtasks and promises that they set off are given a chance to run before the next timer.

import type { Clock } from "../../src/events/clock.ts";

export interface ManualClock extends Clock {
  /** Moves time forward by `ms`, running what falls due on the way. */
  advance(ms: number): Promise<void>;
  /** Time of the next timer, or null when none is set. */
  next(): number | null;
  /** Timers not yet run. */
  readonly pending: number;
}

interface Timer {
  readonly atMs: number;
  readonly fn: () => void;
}

export function manualClock(startMs = 0): ManualClock {
  let nowMs = startMs;
  const timers = new Set<Timer>();
  const earliest = (): Timer | null => {
    let first: Timer | null = null;
    // A Set keeps the order of insertion, so timers of one time run first come, first served.
    for (const timer of timers) if (first === null || timer.atMs < first.atMs) first = timer;
    return first;
  };
  return {
    nowMs: () => nowMs,
    after(ms, fn) {
      const timer: Timer = { atMs: nowMs + Math.max(0, ms), fn };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    async advance(ms) {
      const until = nowMs + ms;
      await settle();
      for (let timer = earliest(); timer !== null && timer.atMs <= until; timer = earliest()) {
        timers.delete(timer);
        nowMs = timer.atMs;
        timer.fn();
        await settle();
      }
      nowMs = until;
      await settle();
    },
    next: () => earliest()?.atMs ?? null,
    get pending() {
      return timers.size;
    },
  };
}

/** Lets everything run that waits for nothing but the event loop. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}
