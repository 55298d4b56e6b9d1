// Reading the log up to a place and folding it on the way. Always from the first record: only the
// fold knows which records count, and it does a million in seconds.
//
// Invariant: a time means "after every record stamped at or before it".

import { type Folded, fold } from "../events/fold.ts";
import type { EventLog, LogInfo, Recorded } from "../events/log.ts";
import { type FabricState, initialState } from "../events/state.ts";
import { EXIT_FAILED, Failure, misuse } from "./failure.ts";
import { instantOf, isoTime, type Point } from "./point.ts";

export interface Step {
  readonly record: Recorded;
  readonly folded: Folded;
  /** Just after the record; changes in place with the next step. */
  readonly state: FabricState;
}

/** Where to stop, and the flag to blame when the log has no such place. */
export interface Until {
  readonly flag: string;
  readonly point: Point;
}

/** The state at `until`, or at the head. Throws Failure when the log does not reach there. */
export async function foldTo(
  log: EventLog,
  fabric: string,
  until: Until | null,
  nowMs: number,
): Promise<FabricState> {
  let state = initialState(fabric);
  for await (const step of steps(log, fabric, until, nowMs)) state = step.state;
  return state;
}

/** Every record up to and including `until` (or the head as it is now), folded. */
export async function* steps(
  log: EventLog,
  fabric: string,
  until: Until | null,
  nowMs: number,
): AsyncIterable<Step> {
  const info = await log.info();
  refuseTruncated(info);
  const last = lastSeq(until, info);
  const untilMs = until === null ? null : instantOf(until.point, nowMs);
  const state = initialState(fabric);
  for await (const record of recordsTo(log, last)) {
    if (until !== null && untilMs !== null) {
      if (Math.max(state.timeMs, record.timeMs) > untilMs) {
        if (state.seq === 0) throw tooEarly(until, record);
        return;
      }
    }
    yield { record, folded: fold(state, record), state };
  }
  if (until !== null && untilMs !== null && untilMs > Math.max(nowMs, state.timeMs)) {
    throw misuse(`${until.flag} ${until.point.text}`, "is in the future");
  }
}

function lastSeq(until: Until | null, info: LogInfo): number {
  if (until === null) return info.lastSeq;
  const at = `${until.flag} ${until.point.text}`;
  if (info.lastSeq === 0) throw misuse(at, "the log is empty");
  if (until.point.kind !== "seq") return info.lastSeq;
  if (until.point.seq > info.lastSeq) throw misuse(at, `the log ends at ${info.lastSeq}`);
  return until.point.seq;
}

function tooEarly(until: Until, first: Recorded): Failure {
  const began = `the log begins at ${isoTime(first.timeMs)} (sequence ${first.seq})`;
  return misuse(`${until.flag} ${until.point.text}`, began);
}

function refuseTruncated(info: LogInfo): void {
  if (info.firstSeq <= 1) return;
  const message = `the log is damaged: it begins at sequence ${info.firstSeq}, not 1`;
  throw new Failure(EXIT_FAILED, message);
}

async function* recordsTo(log: EventLog, last: number): AsyncIterable<Recorded> {
  if (last === 0) return;
  const stop = new AbortController();
  try {
    for await (const batch of log.read(1, stop.signal)) {
      for (const record of batch) {
        if (record.seq > last) return;
        yield record;
        if (record.seq === last) return;
      }
    }
  } finally {
    stop.abort();
  }
}
