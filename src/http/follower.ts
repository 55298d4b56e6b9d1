// The server's own reading of the log: a tail that folds, and what waits on it. The server keeps
// nothing else, so any number of them say the same.
//
// Invariant: an answer "as of now" is no older than the log was when the question came, unless the
// log does not answer; then the answer says so.

import { createTail, type Tail, type TailView } from "../agent/tail.ts";
import { type Clock, sleep } from "../events/clock.ts";
import type { Folded } from "../events/fold.ts";
import { type EventLog, LogError, type LogInfo, type Recorded } from "../events/log.ts";
import type { FabricState } from "../events/state.ts";

export type FoldedListener = (record: Recorded, folded: Folded) => void;

export interface Follower {
  /** The fold as it is now; changes in place. */
  state(): Readonly<FabricState>;
  view(): TailView;
  /** Log time now; 0 while unknown. */
  logNowMs(): number;
  /**
   * Waits until everything is folded that the log holds at the time of the call. Null when it is,
   * else why it cannot be known.
   */
  fresh(): Promise<string | null>;
  /** True when `seq` is folded; false when it is not before `ms` have passed. */
  reached(seq: number, ms: number, signal?: AbortSignal): Promise<boolean>;
  /** Calls `listener` after each record, in order; the returned function ends that. */
  onFolded(listener: FoldedListener): () => void;
  run(signal: AbortSignal): Promise<void>;
}

/** A record that the server has stored is here within milliseconds. */
const FRESH_MS = 2000;

interface Waiter {
  readonly seq: number;
  readonly reached: () => void;
}

export function createFollower(deps: {
  readonly log: EventLog;
  readonly clock: Clock;
  readonly fabric: string;
}): Follower {
  const { log, clock, fabric } = deps;
  const listeners = new Set<FoldedListener>();
  const waiters = new Set<Waiter>();

  const tail: Tail = createTail({
    ...{ log, clock, fabric, snapshot: null },
    onFolded: (record, folded) => {
      for (const listener of listeners) listener(record, folded);
    },
    onChange: () => {
      const { seq } = tail.view();
      for (const waiter of waiters) if (seq >= waiter.seq) waiter.reached();
    },
  });

  async function reached(seq: number, ms: number, signal?: AbortSignal): Promise<boolean> {
    if (tail.view().seq >= seq) return true;
    const stop = new AbortController();
    const either = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]);
    const arrival = Promise.withResolvers<void>();
    const waiter = { seq, reached: arrival.resolve };
    waiters.add(waiter);
    await Promise.race([arrival.promise, sleep(clock, ms, either)]);
    waiters.delete(waiter);
    stop.abort();
    return tail.view().seq >= seq;
  }

  let asking: Promise<unknown> = Promise.resolve();
  let next: Promise<LogInfo> | null = null;

  /** One question at a time: whoever comes while one is out shares the next. Throws LogError. */
  function info(): Promise<LogInfo> {
    next ??= asking.then(() => {
      next = null;
      const asked = log.info();
      asking = asked.catch(() => undefined);
      return asked;
    });
    return next;
  }

  async function fresh(): Promise<string | null> {
    const { damage } = tail.view();
    if (damage !== null) return damage;
    try {
      const { lastSeq } = await info();
      if (await reached(lastSeq, FRESH_MS)) return tail.view().damage;
      return `sequence ${lastSeq} of the log is not folded yet`;
    } catch (error) {
      if (error instanceof LogError) return error.message;
      throw error;
    }
  }

  return {
    state: () => tail.state(),
    view: () => tail.view(),
    logNowMs: () => tail.logNowMs(),
    fresh,
    reached,
    onFolded: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    run: (signal) => tail.run(signal),
  };
}
