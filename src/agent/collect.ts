// Collects garbage in the engine's timers' stead: during a start they cost a sixth of its time and
// are switched off (docs/adr/0017), for good, because they are options of the whole process.

import { type Clock, sleep } from "../events/clock.ts";

export interface CollectDeps {
  readonly clock: Clock;
  readonly residentBytes: () => number;
  /** All of the heap, at once: 20 ms with 10 000 peers, 8 with 1 000. */
  readonly collect: () => void;
}

/** Between two looks. */
const LOOK_MS = 1000;
/** A snapshot of 10 000 nodes leaves 10 MiB of text behind; less is not worth the pause. */
const GROWTH = 1.3;

/** Until `signal`: whenever the process takes a third more than after the last collection. */
export async function collectAsItGrows(deps: CollectDeps, signal: AbortSignal): Promise<void> {
  const { clock, residentBytes, collect } = deps;
  let least = residentBytes();
  for (;;) {
    await sleep(clock, LOOK_MS, signal);
    if (signal.aborted) return;
    const now = residentBytes();
    if (now > GROWTH * least) {
      collect();
      least = residentBytes();
    } else {
      least = Math.min(least, now);
    }
  }
}
