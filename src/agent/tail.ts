// Follows the log and folds it, and knows whether what it follows is still the log it knows. A
// damaged log (gone, recreated, gone backwards, cut off, rewritten) never reaches the fold: the
// tail says why, keeps its state, and goes on by itself when the log is good again or when it is
// told to accept it. It does not touch the kernel and appends nothing.

import { type Clock, sleep } from "../events/clock.ts";
import { type Folded, fold } from "../events/fold.ts";
import { type EventLog, LogError, type LogInfo, type Recorded } from "../events/log.ts";
import type { Position, Snapshot } from "../events/snapshot.ts";
import type { FabricState } from "../events/state.ts";
import { damageOf, Place } from "./place.ts";
import { isUnchanged, type Recheck } from "./recheck.ts";

/** Until what was folded is hashed, if nobody asks for the chain before: after the kernel. */
const HASH_MS = 1000;
/** Until a log is read again that was found rewritten, or that did not answer. */
const RECHECK_MS = 10_000;
/** Between two looks at a log that is unreachable or damaged: short at first, for a quick start. */
const RETRY_MS = { first: 5, last: 250 } as const;

export interface TailDeps {
  readonly log: EventLog;
  readonly clock: Clock;
  readonly fabric: string;
  readonly snapshot: Snapshot | null;
  /**
   * Whose tail it is: hosts take turns in reading the log again, and each follows the entries that
   * it holds itself. A server has no name.
   */
  readonly node?: string;
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

export function createTail(deps: TailDeps): Tail {
  return new LogTail(deps);
}

class LogTail implements Tail {
  readonly #deps: TailDeps;
  #place: Place;
  #damage: string | null = null;
  #trouble: LogError | null = null;
  #connected = false;
  #server: string | null = null;
  #receivedMs: number | null = null;
  #followedSinceMs: number | null = null;
  /** Ends the reading of a log that is given up. */
  #reading: AbortController | null = null;
  /** The log may have changed behind us since it was read. */
  #recheckDue: boolean;
  #rechecking: AbortController | null = null;
  /** Rejects when reading the log again fails of something else than the log. */
  readonly #broken = Promise.withResolvers<never>();
  /** Why the log is not the one that was read, as found by reading it again. */
  #rewritten: string | null = null;
  /** Ends the wait for a moment to hash what was folded. */
  #hashing: (() => void) | null = null;

  constructor(deps: TailDeps) {
    this.#deps = deps;
    this.#place = new Place(deps.fabric, deps.node ?? null, deps.snapshot);
    this.#recheckDue = deps.snapshot !== null;
  }

  state(): FabricState {
    return this.#place.state;
  }

  view(): TailView {
    const { state, head, target } = this.#place;
    return {
      seq: state.seq,
      head: Math.max(head, state.seq),
      caughtUp: target !== null && state.seq >= target,
      connected: this.#connected,
      followedSinceMs: this.#followedSinceMs,
      damage: this.#damage,
      trouble: this.#trouble,
      server: this.#server,
    };
  }

  position(): Position {
    return this.#place.position();
  }

  logNowMs(): number {
    if (this.#receivedMs === null) return 0;
    const passedMs = this.#deps.clock.nowMs() - this.#receivedMs;
    return this.#place.state.timeMs + Math.max(0, passedMs);
  }

  accept(): void {
    const { fabric, node } = this.#deps;
    this.#place = new Place(fabric, node ?? null, null);
    this.#damage = null;
    this.#rewritten = null;
    this.#receivedMs = null;
    this.#rechecking?.abort();
    this.#reading?.abort();
    this.#deps.onChange();
  }

  run(signal: AbortSignal): Promise<void> {
    return Promise.race([this.#followOn(signal), this.#broken.promise]).finally(() => {
      this.#hashing?.();
    });
  }

  async #followOn(signal: AbortSignal): Promise<void> {
    const { clock, onChange } = this.#deps;
    let pauseMs: number = RETRY_MS.first;
    while (!signal.aborted) {
      try {
        await this.#follow(signal);
      } catch (error) {
        this.#note(error);
      }
      this.#reading = null;
      this.#followedSinceMs = null;
      if (signal.aborted) return;
      onChange();
      if (this.#connected && this.#damage === null) pauseMs = RETRY_MS.first;
      await sleep(clock, pauseMs, signal);
      pauseMs = Math.min(pauseMs * 2, RETRY_MS.last);
    }
  }

  /** One connection's worth: checks the log, then reads until something breaks. */
  async #follow(signal: AbortSignal): Promise<void> {
    const { log, clock, onChange } = this.#deps;
    const { created } = await this.#look();
    if (this.#recheckDue && this.#damage === this.#rewritten) {
      this.#recheck(signal).catch(this.#broken.reject);
    }
    if (this.#damage !== null) return;
    // Nothing has arrived yet, but it cannot be earlier than the last record.
    this.#receivedMs ??= clock.nowMs();
    this.#followedSinceMs = clock.nowMs();
    onChange();
    this.#reading = new AbortController();
    const either = AbortSignal.any([signal, this.#reading.signal]);
    // The log may be replaced after it was checked and before the reader stands on it.
    for await (const batch of log.read(this.#place.state.seq + 1, either, { created })) {
      // A batch that was under way when the log was accepted anew belongs to the old place.
      if (this.#damage !== null || either.aborted) return;
      this.#take(batch);
    }
  }

  /** Asks the log who it is, and says in `#damage` whether that is the one we know. */
  async #look(): Promise<LogInfo> {
    const { log } = this.#deps;
    const info = await log.info();
    this.#connected = true;
    this.#trouble = null;
    this.#server = info.server;
    const damage = await damageOf(log, info, this.#place);
    if (damage !== null) this.#recheckDue = true;
    this.#damage = damage ?? this.#rewritten;
    if (this.#damage === null) this.#place.recognise(info);
    return info;
  }

  /** Compares what is behind us with what was read; whoever follows goes on meanwhile. */
  async #recheck(signal: AbortSignal): Promise<void> {
    this.#recheckDue = false;
    this.#rechecking?.abort();
    const stop = new AbortController();
    this.#rechecking = stop;
    const { state, chain } = this.#place;
    const { seq } = state;
    if (seq === 0) return;
    const either = AbortSignal.any([signal, stop.signal]);
    const hosts = state.leases.size;
    while (!either.aborted) {
      const same = await this.#isUnchanged({ seq, chain, hosts }, either);
      if (either.aborted) return;
      if (same === true) {
        this.#rewritten = null;
        return;
      }
      if (same === false) this.#noteRewritten(seq);
      await sleep(this.#deps.clock, RECHECK_MS, either);
    }
  }

  /** Null when the log does not say; a hole in it is as good as a change. */
  async #isUnchanged(
    known: Pick<Recheck, "seq" | "chain" | "hosts">,
    signal: AbortSignal,
  ): Promise<boolean | null> {
    const { log, clock, node = "" } = this.#deps;
    try {
      return await isUnchanged({ log, clock, node, ...known }, signal);
    } catch (error) {
      if (!(error instanceof LogError)) throw error;
      return error.kind === "gap" ? false : null;
    }
  }

  #noteRewritten(seq: number): void {
    const what = `its first ${seq} records are not those that were applied`;
    this.#rewritten = `the log was rewritten: ${what}`;
    this.#reading?.abort();
  }

  #take(batch: readonly Recorded[]): void {
    const { clock, onFolded, onChange } = this.#deps;
    const place = this.#place;
    this.#receivedMs = clock.nowMs();
    for (const record of batch) {
      if (record.seq !== place.state.seq + 1) {
        throw new LogError("gap", `after ${place.state.seq} came ${record.seq}`);
      }
      place.pass(record);
      onFolded(record, fold(place.state, record));
    }
    this.#hashing ??= clock.after(HASH_MS, () => {
      this.#hashing = null;
      this.#place.hash();
    });
    onChange();
  }

  #note(error: unknown): void {
    if (!(error instanceof LogError)) throw error;
    this.#connected = error.kind !== "unreachable" && error.kind !== "refused";
    this.#trouble = error;
    if (error.kind === "unreachable" || error.kind === "missing") this.#recheckDue = true;
    if (error.kind === "missing" && this.#place.state.seq > 0) this.#damage = "the stream is gone";
    if (error.kind === "gap") this.#damage = error.message;
  }
}
