// Follows the log and folds it, and knows whether what it follows is still the log it knows. A
// damaged log (gone, recreated, gone backwards, cut off, rewritten) never reaches the fold: the
// tail says why, keeps its state, and goes on by itself when the log is good again or when it is
// told to accept it. It does not touch the kernel and appends nothing.

import { type Clock, sleep } from "../events/clock.ts";
import { type Folded, fold } from "../events/fold.ts";
import { type EventLog, LogError, type LogInfo, type Recorded } from "../events/log.ts";
import type { Position, Snapshot } from "../events/snapshot.ts";
import { type FabricState, initialState } from "../events/state.ts";
import { type Chain, extend, fromHex, genesis, hex, recordHash } from "./chain.ts";

/** Between two looks at a log that is unreachable or damaged: short at first, for a quick start. */
const RETRY_MS = { first: 5, last: 250 } as const;

export interface TailDeps {
  readonly log: EventLog;
  readonly clock: Clock;
  readonly fabric: string;
  readonly snapshot: Snapshot | null;
  /** After each record, in order. */
  readonly onFolded: (record: Recorded, folded: Folded) => void;
  /** After each batch, and whenever connection or freeze changes. */
  readonly onChange: () => void;
}

export interface TailView {
  readonly seq: number;
  /** Last sequence known to be in the log, at least `seq`. */
  readonly head: number;
  /** The fold has passed the head that the log had when this process first reached it. */
  readonly caughtUp: boolean;
  readonly connected: boolean;
  /** Clock time since which the log has been followed without a break; null while it is not. */
  readonly followedSinceMs: number | null;
  /** Why the log cannot be followed although it answers, or null. */
  readonly damage: string | null;
  /** Why the log does not answer, or null. */
  readonly trouble: LogError | null;
  readonly server: string | null;
}

export interface Tail {
  state(): FabricState;
  view(): TailView;
  position(): Position;
  /** Log time now: that of the last record plus what passed since it arrived; 0 when unknown. */
  logNowMs(): number;
  /** Forgets the known log; the present one is folded from its first record. */
  accept(): void;
  /** Follows until `signal` aborts; never throws for trouble with the log. */
  run(signal: AbortSignal): Promise<void>;
}

/** What the tail knows of the log's identity and of its own place in it. */
interface Place {
  state: FabricState;
  chain: Chain;
  created: string | null;
  /** Head of the log when this process first reached it. */
  target: number | null;
  head: number;
}

export function createTail(deps: TailDeps): Tail {
  const { log, clock, fabric } = deps;
  let place = startingPlace(fabric, deps.snapshot);
  let damage: string | null = null;
  let trouble: LogError | null = null;
  let connected = false;
  let server: string | null = null;
  let receivedMs: number | null = null;
  let reading: AbortController | null = null;
  let followedSinceMs: number | null = null;

  function take(batch: readonly Recorded[]): void {
    receivedMs = clock.nowMs();
    for (const record of batch) {
      if (record.seq !== place.state.seq + 1) {
        throw new LogError("gap", `after ${place.state.seq} came ${record.seq}`);
      }
      place.chain = extend(place.chain, record);
      deps.onFolded(record, fold(place.state, record));
    }
    place.head = Math.max(place.head, place.state.seq);
    deps.onChange();
  }

  /** Asks the log who it is, and says in `damage` whether that is the one we know. */
  async function look(): Promise<LogInfo> {
    const info = await log.info();
    connected = true;
    trouble = null;
    server = info.server;
    damage = await damageOf(log, info, place);
    if (damage === null) {
      // Another log, or one that lost its end, has another head to reach.
      const target = place.created === info.created ? place.target : null;
      place.target = Math.min(target ?? info.lastSeq, info.lastSeq);
      place.created = info.created;
    }
    return info;
  }

  /** One connection's worth: checks the log, then reads until something breaks. */
  async function follow(signal: AbortSignal): Promise<void> {
    const info = await look();
    if (damage !== null) return;
    place.head = Math.max(place.state.seq, info.lastSeq);
    // Nothing has arrived yet, but it cannot be earlier than the last record.
    receivedMs ??= clock.nowMs();
    followedSinceMs = clock.nowMs();
    deps.onChange();
    reading = new AbortController();
    const either = AbortSignal.any([signal, reading.signal]);
    let known = false;
    for await (const batch of log.read(place.state.seq + 1, either)) {
      // The log may have been replaced after it was checked and before the reader stood on it.
      if (!known && (await look()).created !== info.created) return;
      // A batch that was under way when the log was accepted anew belongs to the old place.
      if (damage !== null || either.aborted) return;
      known = true;
      take(batch);
    }
  }

  function note(error: unknown): void {
    if (!(error instanceof LogError)) throw error;
    connected = error.kind !== "unreachable" && error.kind !== "refused";
    trouble = error;
    if (error.kind === "missing" && place.state.seq > 0) damage = "the stream is gone";
    if (error.kind === "gap") damage = error.message;
  }

  return {
    state: () => place.state,
    view: () => ({
      seq: place.state.seq,
      head: Math.max(place.head, place.state.seq),
      caughtUp: place.target !== null && place.state.seq >= place.target,
      connected,
      followedSinceMs,
      damage,
      trouble,
      server,
    }),
    position: () => ({
      created: place.created ?? "",
      seq: place.state.seq,
      chain: hex(place.chain.hash),
      tip: hex(place.chain.tip),
    }),
    logNowMs: () =>
      receivedMs === null ? 0 : place.state.timeMs + Math.max(0, clock.nowMs() - receivedMs),
    accept: () => {
      place = startingPlace(fabric, null);
      damage = null;
      receivedMs = null;
      reading?.abort();
      deps.onChange();
    },
    run: async (signal) => {
      let pauseMs: number = RETRY_MS.first;
      while (!signal.aborted) {
        try {
          await follow(signal);
        } catch (error) {
          note(error);
        }
        reading = null;
        followedSinceMs = null;
        if (signal.aborted) return;
        deps.onChange();
        if (connected && damage === null) pauseMs = RETRY_MS.first;
        await sleep(clock, pauseMs, signal);
        pauseMs = Math.min(pauseMs * 2, RETRY_MS.last);
      }
    },
  };
}

function startingPlace(fabric: string, snapshot: Snapshot | null): Place {
  if (snapshot === null) {
    const state = initialState(fabric);
    return { state, chain: genesis, created: null, target: null, head: 0 };
  }
  const { position, state } = snapshot;
  const chain = { hash: fromHex(position.chain), tip: fromHex(position.tip) };
  return { state, chain, created: position.created, target: null, head: position.seq };
}

/** Why this log is not the continuation of what was folded, or null when it is. */
async function damageOf(log: EventLog, info: LogInfo, place: Place): Promise<string | null> {
  const { seq } = place.state;
  if (seq > 0 && place.created !== null && place.created !== info.created) {
    return `the stream was recreated at ${info.created}; the known one is of ${place.created}`;
  }
  if (info.lastSeq < seq) {
    return `the log went backwards: its last sequence is ${info.lastSeq}, ${seq} is applied`;
  }
  if (info.lastSeq > 0 && info.firstSeq > seq + 1) {
    return `the log was cut off: it begins at sequence ${info.firstSeq}, ${seq} is applied`;
  }
  if (seq === 0) return null;
  const record = await log.get(seq);
  if (record === null) return `the log does not hold sequence ${seq}, which is applied`;
  if (hex(recordHash(record)) !== hex(place.chain.tip)) {
    return `the log was rewritten: sequence ${seq} is not the one that was applied`;
  }
  return null;
}
