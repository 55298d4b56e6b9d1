// Says things in the log and tells what became of them. The answer that counts is the fold's: after
// the append it waits until the own tail has passed the sequence, then reads the verdict there.

import { type Clock, sleep } from "../events/clock.ts";
import { encode } from "../events/codec.ts";
import type { Draft } from "../events/event.ts";
import { type EventLog, LogError, type Recorded } from "../events/log.ts";
import { subjectOf } from "../events/subject.ts";
import type { Verdict } from "../events/verdict.ts";

export type Said =
  | { readonly ok: true; readonly seq: number; readonly verdict: Verdict }
  /** Not known to be in the log, or not seen there in time: look at the state again. */
  | { readonly ok: false; readonly reason: string };

export interface Speaker {
  say(draft: Draft): Promise<Said>;
  /** To be called for every folded record. */
  heard(record: Recorded, verdict: Verdict): void;
}

interface Echo {
  readonly payload: Uint8Array;
  readonly verdict: Verdict;
}

/** An acknowledged record that does not come back within this was lost with its server. */
const ECHO_MS = 5000;

export interface SpeakerDeps {
  readonly log: EventLog;
  readonly clock: Clock;
  readonly fabric: string;
  readonly newId: () => string;
}

export function createSpeaker({ log, clock, fabric, newId }: SpeakerDeps): Speaker {
  /** Sequences somebody waits for; a verdict may come before the append's own answer does. */
  const recent = new Map<number, Echo>();
  const waiting = new Map<number, (echo: Echo) => void>();
  let outstanding = 0;
  /** How often a shared id was found used up, by that id. */
  const spent = new Map<string, number>();
  let heardSeq = 0;

  function echoOf(seq: number): Promise<Echo | null> {
    const early = recent.get(seq);
    if (early !== undefined) return Promise.resolve(early);
    const stop = new AbortController();
    const late = sleep(clock, ECHO_MS, stop.signal).then(() => null);
    const heard = new Promise<Echo>((resolve) => waiting.set(seq, resolve));
    return Promise.race([heard, late]).finally(() => {
      waiting.delete(seq);
      stop.abort();
    });
  }

  async function say(draft: Draft): Promise<Said> {
    const shared = sharedId(draft);
    const id = shared === null ? newId() : `${shared}-${spent.get(shared) ?? 0}`;
    const heardBefore = heardSeq;
    const subject = subjectOf(fabric, draft);
    outstanding++;
    try {
      const payload = encode(draft, id);
      const stored = await log.append({ subject, payload, id });
      if (!stored.ok) return { ok: false, reason: "another writer was first" };
      if (shared !== null && stored.seq <= heardBefore) {
        // The first copy went by before this was asked for, and did not do: say it under a new id.
        spent.set(shared, (spent.get(shared) ?? 0) + 1);
        return { ok: false, reason: `said before, at sequence ${stored.seq}` };
      }
      const echo = await echoOf(stored.seq);
      if (echo === null) {
        return { ok: false, reason: `sequence ${stored.seq} did not come back` };
      }
      // A server that lost its last records gives their sequences out again.
      if (shared === null && Buffer.compare(echo.payload, payload) !== 0) {
        return { ok: false, reason: `sequence ${stored.seq} was lost and is another's now` };
      }
      return { ok: true, seq: stored.seq, verdict: echo.verdict };
    } catch (error) {
      if (error instanceof LogError) return { ok: false, reason: error.message };
      throw error;
    } finally {
      outstanding--;
      if (outstanding === 0) recent.clear();
    }
  }

  return {
    say,
    heard: (record, verdict) => {
      heardSeq = record.seq;
      if (outstanding === 0) return;
      const echo = { payload: record.payload, verdict };
      recent.set(record.seq, echo);
      waiting.get(record.seq)?.(echo);
    },
  };
}

/** Many hosts may propose one expiry; one id for it lets the server keep the first only. */
function sharedId(draft: Draft): string | null {
  if (draft.type !== "LeaseExpired") return null;
  return `expire-${draft.data.owner}-${draft.data.epoch}`;
}
