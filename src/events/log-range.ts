// A part of the log that is there already, for whoever takes its time with it: a pager, a slow
// network. The server drops a reader that asks for nothing for some seconds; here that is a pause.

import { type EventLog, LogError, type Recorded } from "./log.ts";

const NEVER = new AbortController().signal;

/**
 * The records `from` to `last`, which the log holds, one after the other. A reader that breaks off
 * is followed by another for as long as each brings something. Throws LogError.
 */
export async function* rangeOf(
  log: EventLog,
  from: number,
  last: number,
): AsyncGenerator<Recorded, void> {
  let next = from;
  while (next <= last) {
    const first = next;
    try {
      for await (const batch of log.read(next, NEVER, { last })) {
        for (const record of batch) {
          next = record.seq + 1;
          yield record;
        }
      }
    } catch (error) {
      const brokeOff = error instanceof LogError && error.kind === "unreachable";
      if (!brokeOff || next === first) throw error;
    }
  }
}

export interface Hole {
  readonly from: number;
  readonly to: number;
}

/** What the log holds from `from` to `to`, and where it holds nothing. Throws LogError. */
export async function* held(
  log: EventLog,
  from: number,
  to: number,
): AsyncIterable<Recorded | Hole> {
  let at = from;
  while (at <= to) {
    try {
      for await (const record of rangeOf(log, at, to)) {
        at = record.seq + 1;
        yield record;
      }
    } catch (error) {
      if (!(error instanceof LogError) || error.kind !== "gap") throw error;
      const next = await nextHeld(log, at, to);
      if (next === at) throw error;
      yield { from: at, to: next - 1 };
      at = next;
    }
  }
}

/** The first sequence at or after `from` that the log holds, or `to + 1`. */
async function nextHeld(log: EventLog, from: number, to: number): Promise<number> {
  const { firstSeq } = await log.info();
  let seq = Math.max(from, firstSeq);
  while (seq <= to && (await log.get(seq)) === null) seq++;
  return Math.min(seq, to + 1);
}
