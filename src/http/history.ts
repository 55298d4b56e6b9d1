// Any point of the log: which sequence it is, and the state there. A state of the past is the last
// checkpoint before it and at most some thousand records folded on.
//
// Invariant: what is answered for a point is what a fold from the first record would give.

import { fold } from "../events/fold.ts";
import { onDemand } from "../events/fold-miss.ts";
import type { EventLog } from "../events/log.ts";
import { noSuchPoint, type Until } from "../events/past.ts";
import { instantOf, isoTime } from "../events/point.ts";
import { type FabricState, initialState } from "../events/state.ts";
import { Checkpoints } from "./checkpoints.ts";
import type { Follower } from "./follower.ts";
import { CHUNK, Journal } from "./journal.ts";
import { Problem } from "./problem.ts";
import { Records } from "./records.ts";

/** One page shows state, plan and differences of the same point. */
const RECENT_MAX = 2;

export interface HistoryDeps {
  readonly log: EventLog;
  readonly fabric: string;
  readonly follower: Follower;
  readonly wallMs: () => number;
  /** Bytes of records kept to be read again. */
  readonly keptBytesMax?: number;
  /** Between two states kept, at least. */
  readonly checkpointRecords?: number;
}

export class History {
  readonly journal = new Journal();
  readonly records: Records;
  readonly #fabric: string;
  readonly #follower: Follower;
  readonly #wallMs: () => number;
  readonly #checkpoints: Checkpoints;
  readonly #recent = new Map<number, Readonly<FabricState>>();

  /** To be made before the follower runs. */
  constructor(deps: HistoryDeps) {
    const { log, fabric, follower, wallMs, keptBytesMax, checkpointRecords: records } = deps;
    this.records = new Records(log, keptBytesMax);
    this.#fabric = fabric;
    this.#follower = follower;
    this.#wallMs = wallMs;
    this.#checkpoints = new Checkpoints(fabric, records === undefined ? {} : { records });
    follower.onFolded((record, folded) => {
      const state = follower.state();
      this.journal.note(state.timeMs, record, folded);
      this.records.note(record);
      this.#checkpoints.offer(state);
    });
  }

  /** The last sequence that `until` includes. Throws PastError, and Problem when nobody knows. */
  async resolve(until: Until): Promise<number> {
    const { point } = until;
    if (point.kind === "seq") return await this.#held(until, point.seq);
    const nowMs = this.#wallMs();
    const ms = instantOf(point, nowMs) ?? nowMs;
    // Later records cannot be older than the last one, so only there one may be missing.
    if (ms >= this.#follower.state().timeMs) await this.#follower.fresh();
    const { timeMs } = this.#follower.state();
    const beganMs = this.journal.beganMs();
    if (beganMs === null) throw noSuchPoint(until, "the log is empty");
    if (ms > Math.max(nowMs, timeMs)) throw noSuchPoint(until, "is in the future");
    if (ms < beganMs)
      throw noSuchPoint(until, `the log begins at ${isoTime(beganMs)} (sequence 1)`);
    return await this.#lastAt(ms, beganMs);
  }

  /** The first sequence at or after `from`, one past the end when there is none yet. */
  async resolveFrom(from: Until): Promise<number> {
    const { point } = from;
    if (point.kind === "seq") return await this.#held(from, point.seq);
    const nowMs = this.#wallMs();
    const ms = instantOf(point, nowMs) ?? nowMs;
    const beganMs = this.journal.beganMs();
    if (ms > Math.max(nowMs, this.#follower.state().timeMs)) {
      throw noSuchPoint(from, "is in the future");
    }
    return beganMs === null || ms <= beganMs ? 1 : (await this.#lastAt(ms - 1, beganMs)) + 1;
  }

  /** Shows the state at `seq`, which was folded; `show` must keep nothing of it. */
  async at<T>(seq: number, show: (state: Readonly<FabricState>) => T): Promise<T> {
    const now = this.#follower.state();
    return show(now.seq === seq ? now : await this.stateAt(seq));
  }

  /** The state at `seq`, which was folded, for good. Throws LogError. */
  async stateAt(seq: number): Promise<Readonly<FabricState>> {
    const known = this.#recent.get(seq);
    if (known !== undefined) return known;
    const state = this.#checkpoints.before(seq);
    for await (const batch of this.records.range(state.seq + 1, seq)) {
      for (const record of batch) fold(state, record);
    }
    this.#recent.set(seq, state);
    for (const oldest of this.#recent.keys()) {
      if (this.#recent.size <= RECENT_MAX) break;
      this.#recent.delete(oldest);
    }
    return state;
  }

  /**
   * The same with the entries that `node` holds on demand. Kept states follow nobody, so this reads
   * the log from its first record.
   */
  async stateOf(node: string, seq: number): Promise<Readonly<FabricState>> {
    const shared = await this.stateAt(seq);
    if (onDemand(shared.config) === null) return shared;
    const state = initialState(this.#fabric, node);
    for await (const batch of this.records.range(1, seq)) {
      for (const record of batch) fold(state, record);
    }
    return state;
  }

  /** A state before `seq` from which folding on is short; the caller's own. */
  before(seq: number): FabricState {
    return this.#checkpoints.before(seq - 1);
  }

  async #held(until: Until, seq: number): Promise<number> {
    if (seq <= this.#follower.state().seq) return seq;
    const stale = await this.#follower.fresh();
    const head = this.#follower.state().seq;
    if (seq <= head) return seq;
    if (stale !== null) throw new Problem(503, `${until.name} ${seq}: ${stale}`);
    const why = head === 0 ? "the log is empty" : `the log ends at ${head}`;
    throw noSuchPoint(until, why);
  }

  /** The last sequence stamped at or before `ms`, which is not before the log began. */
  async #lastAt(ms: number, beganMs: number): Promise<number> {
    if (ms < beganMs) return 0;
    const index = this.journal.chunkAt(ms);
    const { records } = await this.records.chunk(index);
    // A stamp that runs backwards counts as the latest before it, as in the fold.
    const later = records.findIndex((record) => record.timeMs > ms);
    return index * CHUNK + (later === -1 ? records.length : later);
  }
}
