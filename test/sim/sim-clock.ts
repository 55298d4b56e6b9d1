// Simulated time: a list of timers, run one by one. After each, everything that follows from it
// without waiting runs to its end before the next, so the order of events depends on nothing else.
// Processes have clocks of their own on the same time; a process that dies takes its timers along.

import type { Clock } from "../../src/events/clock.ts";

interface Timer {
  readonly atMs: number;
  readonly fn: () => void;
}

export interface ProcessClock extends Clock {
  /** No timer of this clock runs any more, and no new one will. */
  stop(): void;
}

export class SimClock implements Clock {
  #nowMs: number;
  readonly #timers = new Set<Timer>();

  constructor(startMs: number) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  after(ms: number, fn: () => void): () => void {
    // Whole milliseconds, as real timers have.
    const timer: Timer = { atMs: this.#nowMs + Math.max(0, Math.ceil(ms)), fn };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Resolves after `ms` of simulated time. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => void this.after(ms, resolve));
  }

  /** Runs the next timer and all that follows at once; false when none is due by `untilMs`. */
  async step(untilMs: number): Promise<boolean> {
    let first: Timer | null = null;
    // A Set keeps the order of insertion: timers of one time run first come, first served.
    for (const timer of this.#timers) if (first === null || timer.atMs < first.atMs) first = timer;
    if (first === null || first.atMs > untilMs) {
      this.#nowMs = Math.max(this.#nowMs, untilMs);
      return false;
    }
    this.#timers.delete(first);
    this.#nowMs = first.atMs;
    first.fn();
    await settled();
    return true;
  }

  process(): ProcessClock {
    const own = new Set<() => void>();
    let stopped = false;
    return {
      nowMs: () => this.#nowMs,
      after: (ms, fn) => {
        if (stopped) return () => undefined;
        const cancel = this.after(ms, () => {
          own.delete(cancel);
          fn();
        });
        own.add(cancel);
        return () => {
          own.delete(cancel);
          cancel();
        };
      },
      stop: () => {
        stopped = true;
        for (const cancel of own) cancel();
        own.clear();
      },
    };
  }
}

/** No part of the simulation waits for anything real: one turn runs all microtasks to the end. */
export function settled(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
