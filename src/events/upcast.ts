// Old shapes of events, brought to the current one on read. One step per version: `steps[type][v]`
// turns the data of version v into that of v + 1. All types are at version 1 so far.

import type { EventType } from "./event.ts";

type Step = (data: unknown) => unknown;
export type Steps = { readonly [T in EventType]?: { readonly [v: number]: Step } };

export const steps: Steps = {};

/** Data of version `from` as data of version `to`, or null when a step is missing. */
export function upcast(
  type: EventType,
  from: number,
  to: number,
  data: unknown,
  table: Steps = steps,
): { readonly data: unknown } | null {
  let current = data;
  for (let v = from; v < to; v++) {
    const step = table[type]?.[v];
    if (step === undefined) return null;
    current = step(current);
  }
  return { data: current };
}
