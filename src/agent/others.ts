// Who else hears of a change in the log, after the kernel: a round gives nobody a turn before its
// ops but for microtasks, and what is woken in between is paid for by a peer's route.

import type { Clock } from "../events/clock.ts";
import type { Waker } from "./waker.ts";

/** Wakes `others`: at once, or, so that a round comes first, in the next turn of the event loop. */
export function createOthers(
  clock: Clock,
  others: readonly Pick<Waker, "wake">[],
): (later: boolean) => void {
  let waiting = false;
  const wake = (): void => {
    waiting = false;
    for (const other of others) other.wake();
  };
  return (later) => {
    if (waiting) return;
    waiting = later;
    if (later) clock.after(0, wake);
    else wake();
  };
}
