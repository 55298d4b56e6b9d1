// Reading the log up to a place and folding it on the way. It begins with the first record: only
// the fold knows which records count, and it does 100 000 in a second.
//
// Invariant: a time means "after every record stamped at or before it".

import { type Folded, fold } from "./fold.ts";
import type { EventLog, LogInfo, Recorded } from "./log.ts";
import { rangeOf } from "./log-range.ts";
import { instantOf, isoTime, type Point } from "./point.ts";
import { type FabricState, initialState } from "./state.ts";

export interface Step {
  readonly record: Recorded;
  readonly folded: Folded;
}

/** Where to stop, and the flag or parameter to blame when the log has no such place. */
export interface Until {
  readonly name: string;
  readonly point: Point;
}

/** `no-such-point`: the caller's mistake. `damaged`: nobody can tell what was there. */
export type PastErrorKind = "no-such-point" | "damaged";

/** One line: which flag or parameter, and where the log begins or ends. */
export class PastError extends Error {
  override readonly name = "PastError";
  readonly kind: PastErrorKind;
  /** The flag or parameter at fault. */
  readonly at: string | null;
  constructor(kind: PastErrorKind, message: string, at: string | null = null) {
    super(message);
    this.kind = kind;
    this.at = at;
  }
}

export function noSuchPoint({ name, point }: Until, why: string): PastError {
  return new PastError("no-such-point", `${name} ${point.text}: ${why}`, name);
}

/**
 * The state at `until`, or at the head, with the entries that `node` holds. Throws PastError when
 * the log does not reach there.
 */
export async function foldTo(
  log: EventLog,
  fabric: string,
  until: Until | null,
  nowMs: number,
  node: string | null = null,
): Promise<FabricState> {
  const state = initialState(fabric, node);
  await foldOn(log, state, until, nowMs);
  return state;
}

/** Takes `state` on from where it stands, in place. */
export async function foldOn(
  log: EventLog,
  state: FabricState,
  until: Until | null,
  nowMs: number,
): Promise<void> {
  for await (const _ of steps(log, state, until, nowMs));
}

/** Every record after `state` up to and including `until` (or the head as it is now), folded in. */
export async function* steps(
  log: EventLog,
  state: FabricState,
  until: Until | null,
  nowMs: number,
): AsyncIterable<Step> {
  const info = await log.info();
  refuseTruncated(info);
  const last = lastSeq(until, info);
  const untilMs = until === null ? null : instantOf(until.point, nowMs);
  for await (const record of rangeOf(log, state.seq + 1, last)) {
    if (until !== null && untilMs !== null) {
      if (Math.max(state.timeMs, record.timeMs) > untilMs) {
        if (state.seq === 0) throw tooEarly(until, record);
        return;
      }
    }
    yield { record, folded: fold(state, record) };
  }
  if (until !== null && untilMs !== null && untilMs > Math.max(nowMs, state.timeMs)) {
    throw noSuchPoint(until, "is in the future");
  }
}

function lastSeq(until: Until | null, info: LogInfo): number {
  if (until === null) return info.lastSeq;
  if (info.lastSeq === 0) throw noSuchPoint(until, "the log is empty");
  if (until.point.kind !== "seq") return info.lastSeq;
  if (until.point.seq > info.lastSeq) throw noSuchPoint(until, `the log ends at ${info.lastSeq}`);
  return until.point.seq;
}

function tooEarly(until: Until, first: Recorded): PastError {
  return noSuchPoint(until, `the log begins at ${isoTime(first.timeMs)} (sequence ${first.seq})`);
}

function refuseTruncated(info: LogInfo): void {
  if (info.firstSeq <= 1) return;
  const message = `the log is damaged: it begins at sequence ${info.firstSeq}, not 1`;
  throw new PastError("damaged", message);
}
