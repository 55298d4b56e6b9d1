// One event of the log that counted at its place. What did not count has not happened, and nobody
// is told of it.

import { decode } from "../events/codec.ts";
import type { Event } from "../events/event.ts";
import { LogError, type Recorded } from "../events/log.ts";
import type { History } from "./history.ts";
import { CHUNK, chunkOf } from "./journal.ts";

export interface Happened {
  readonly record: Recorded;
  readonly event: Event;
}

/** The event at `seq`, which was folded; null when it did not count. Throws LogError. */
export async function happened(
  { fabric, history }: { readonly fabric: string; readonly history: History },
  seq: number,
): Promise<Happened | null> {
  if (history.journal.standing(seq) === "refused") return null;
  const index = chunkOf(seq);
  const { records } = await history.records.chunk(index);
  const record = records[seq - 1 - index * CHUNK];
  const decoded = record === undefined ? null : decode(fabric, record);
  if (record === undefined || !decoded?.ok) {
    throw new LogError("gap", `the log does not give its record ${seq}`);
  }
  return { record, event: decoded.event };
}
