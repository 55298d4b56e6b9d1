// Collects garbage in the engine's timers' stead: during a start they cost a sixth of its time and
// are switched off (docs/adr/0017), for good, because they are options of the whole process.

import { type Clock, sleep } from "../events/clock.ts";

export interface CollectDeps {
  readonly clock: Clock;
  /** What the heap has of the system, used or not. */
  readonly heapBytes: () => number;
  readonly collect: () => void;
}

/** Between two looks; the engine's timer has the same. */
const LOOK_MS = 1000;

/** Until `signal`. A heap that took no more of the system since the last look is left alone. */
export async function collectAsItGrows(deps: CollectDeps, signal: AbortSignal): Promise<void> {
  const { clock, heapBytes, collect } = deps;
  for (let before = heapBytes(); ; before = heapBytes()) {
    await sleep(clock, LOOK_MS, signal);
    if (signal.aborted) return;
    if (heapBytes() > before) collect();
  }
}
