// A loop's way to wait: until somebody wakes it or a time has passed. A wake-up that comes while
// the loop is busy is not lost; any number of them are one.

import type { Clock } from "../events/clock.ts";

export interface Waker {
  wake(): void;
  /** Resolves at the next wake-up, after `ms` (null: no limit), or when `signal` aborts. */
  wait(ms: number | null, signal: AbortSignal): Promise<void>;
}

export function createWaker(clock: Clock): Waker {
  let pending = false;
  let release: (() => void) | null = null;
  return {
    wake: () => {
      pending = true;
      release?.();
    },
    wait: (ms, signal) =>
      new Promise((resolve) => {
        const done = (): void => {
          cancel?.();
          signal.removeEventListener("abort", done);
          release = null;
          pending = false;
          resolve();
        };
        const cancel = ms === null ? null : clock.after(Math.max(0, ms), done);
        release = done;
        signal.addEventListener("abort", done, { once: true });
        if (pending || signal.aborted) done();
      }),
  };
}
