// The clock that the program itself uses, for tests on the real kernel.

import type { Clock } from "../../src/events/clock.ts";

export const realClock: Clock = {
  nowMs: () => performance.now(),
  after(ms, fn) {
    const timer = setTimeout(fn, Math.ceil(ms));
    return () => clearTimeout(timer);
  },
};
