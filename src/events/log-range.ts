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
      for await (const batch of log.read(next, NEVER, last)) {
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
