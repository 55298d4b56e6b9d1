// The log and the status board in memory, for simulations: several clients on one store, time from
// a clock that the test turns, and faults drawn from a seed. It runs under the same contract suite
// as the JetStream log; where the two differ, this one is wrong.

import type { Clock } from "../../src/events/clock.ts";
import {
  type Append,
  type Appended,
  type EventLog,
  LogError,
  type LogInfo,
  type Reading,
  type Recorded,
} from "../../src/events/log.ts";
import { isNodeName } from "../../src/events/name.ts";
import type { HostStatus, StatusBoard } from "../../src/events/status-board.ts";

/** Each a probability per call, except the delay. */
export interface MemoryFaults {
  /** Upper bound of the time that each call and each delivery takes. */
  readonly delayMsMax?: number;
  /** The append reaches the server twice. */
  readonly appendTwice?: number;
  /** Stored, the answer lost, and settled by asking again. */
  readonly ackLost?: number;
  /** Stored, and the caller is told `unreachable`. */
  readonly unresolved?: number;
  /** A reader ends with `unreachable` instead of delivering. */
  readonly readerFails?: number;
}

export interface MemoryClient {
  readonly log: EventLog;
  readonly status: StatusBoard;
  /** Cuts this client off, or joins it again. */
  partition(on: boolean): void;
}

/** The store's content at one time, for `rewind`. */
export interface MemoryCopy {
  readonly created: string;
  readonly records: readonly Recorded[];
  readonly ids: ReadonlyMap<string, number>;
}

const DUPLICATE_WINDOW_MS = 120_000;
const SERVER = "memory";

export class MemoryLog {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #changed = new Set<() => void>();
  readonly #board = new Map<string, HostStatus>();
  #faults: MemoryFaults;
  #records: Recorded[] = [];
  #ids = new Map<string, number>();
  #created = "memory-1";
  #generation = 1;
  /** Changes whenever the readers' consumers are lost. */
  #era = 0;
  #exists = true;

  constructor(clock: Clock, options: { seed?: number; faults?: MemoryFaults } = {}) {
    this.#clock = clock;
    this.#random = prng(options.seed ?? 1);
    this.#faults = options.faults ?? {};
  }

  client(): MemoryClient {
    const line = { cut: false };
    return {
      log: {
        info: () => this.#call(line, () => this.#info()),
        get: (seq) => this.#call(line, () => this.#get(seq)),
        append: (message) => this.#append(line, message),
        read: (from, signal, reading) => this.#read(line, { from, ...reading }, signal),
      },
      status: {
        publish: (node, status) => this.#call(line, () => this.#publish(node, status)),
        list: () => this.#call(line, () => this.#list()),
        watch: (signal) => this.#watch(line, signal),
      },
      partition: (on) => {
        line.cut = on;
        this.#notify();
      },
    };
  }

  setFaults(faults: MemoryFaults): void {
    this.#faults = faults;
  }

  /** Every reader ends with `unreachable`, as after a restart of the server. */
  breakReaders(): void {
    this.#era++;
    this.#notify();
  }

  /** Acknowledged records vanish, and their sequences are given out again: a server that had not
   *  synced its disk before the power went. */
  loseTail(count: number): void {
    this.#records = this.#records.slice(0, Math.max(0, this.#records.length - count));
    for (const [id, seq] of this.#ids) if (seq > this.#records.length) this.#ids.delete(id);
    this.breakReaders();
  }

  /** No stream until `recreate`. */
  remove(): void {
    this.#exists = false;
    this.breakReaders();
  }

  /** An empty stream of another identity under the same name. */
  recreate(): void {
    this.#records = [];
    this.#ids = new Map();
    this.#created = `memory-${++this.#generation}`;
    this.#exists = true;
    this.breakReaders();
  }

  /** The store itself, not a copy: for checkers that look at every step. */
  get truth(): { exists: boolean; created: string; records: readonly Recorded[] } {
    return { exists: this.#exists, created: this.#created, records: this.#records };
  }

  /** The server no longer recognises repeated ids, as after a restart that lost them. */
  forgetIds(): void {
    this.#ids = new Map();
  }

  copy(): MemoryCopy {
    return { created: this.#created, records: [...this.#records], ids: new Map(this.#ids) };
  }

  /** Restores an older copy; the stream keeps its identity. */
  rewind(copy: MemoryCopy): void {
    this.#created = copy.created;
    this.#records = [...copy.records];
    this.#ids = new Map(copy.ids);
    this.#exists = true;
    this.breakReaders();
  }

  async #call<T>(line: Line, work: () => T): Promise<T> {
    await this.#delay();
    this.#refuse(line);
    return work();
  }

  #refuse(line: Line): void {
    if (line.cut) throw new LogError("unreachable", "partitioned");
    if (!this.#exists) throw new LogError("missing", "stream not found");
  }

  #info(): LogInfo {
    return {
      created: this.#created,
      firstSeq: 1,
      lastSeq: this.#records.length,
      server: SERVER,
    };
  }

  #get(seq: number): Recorded | null {
    return this.#records[seq - 1] ?? null;
  }

  async #append(line: Line, message: Append): Promise<Appended> {
    const first = await this.#call(line, () => this.#store(message));
    if (this.#strikes(this.#faults.appendTwice)) this.#store(message);
    if (this.#strikes(this.#faults.unresolved)) throw new LogError("unreachable", "no answer");
    if (!this.#strikes(this.#faults.ackLost)) return first;
    return await this.#call(line, () => this.#store(message));
  }

  /** Duplicates are recognised before the expected sequence is looked at. */
  #store({ subject, payload, id, expectLastSubjectSeq }: Append): Appended {
    const known = this.#ids.get(id);
    const knownMs = known === undefined ? 0 : (this.#records[known - 1]?.timeMs ?? 0);
    if (known !== undefined && this.#clock.nowMs() - knownMs < DUPLICATE_WINDOW_MS) {
      return { ok: true, seq: known, duplicate: true };
    }
    const last = this.#records.findLast((record) => record.subject === subject)?.seq ?? 0;
    if (expectLastSubjectSeq !== undefined && expectLastSubjectSeq !== last) {
      return { ok: false, reason: "conflict" };
    }
    const seq = this.#records.length + 1;
    const timeMs = Math.max(this.#clock.nowMs(), this.#records.at(-1)?.timeMs ?? 0);
    this.#records.push({ seq, timeMs, subject, payload: payload.slice() });
    this.#ids.set(id, seq);
    this.#notify();
    return { ok: true, seq, duplicate: false };
  }

  async *#read(
    line: Line,
    { from, last = Number.POSITIVE_INFINITY, created }: Reading & { readonly from: number },
    signal: AbortSignal,
  ): AsyncIterable<readonly Recorded[]> {
    if (signal.aborted || last < from) return;
    await this.#call(line, () => this.#refuseOutside(from, created));
    const era = this.#era;
    for (let next = from; !signal.aborted && next <= last; ) {
      if (this.#era !== era) throw new LogError("unreachable", "consumer lost");
      this.#refuse(line);
      const batch = this.#records.slice(next - 1, last);
      if (batch.length === 0) {
        await this.#change(signal);
        continue;
      }
      await this.#delay();
      if (signal.aborted) return;
      if (line.cut || this.#strikes(this.#faults.readerFails)) {
        throw new LogError("unreachable", "reader failed");
      }
      next += batch.length;
      yield batch;
    }
  }

  #refuseOutside(from: number, created = this.#created): void {
    if (created !== this.#created) {
      throw new LogError("unreachable", `the log was made again: ${this.#created}`);
    }
    if (from < 1 || from > this.#records.length + 1) {
      throw new LogError("gap", `the log holds 1 to ${this.#records.length}, not ${from}`);
    }
  }

  #publish(node: string, status: Uint8Array): void {
    if (!isNodeName(node)) throw new LogError("refused", `not a node name: ${node}`);
    this.#board.delete(node);
    this.#board.set(node, { node, timeMs: this.#clock.nowMs(), payload: status.slice() });
    this.#notify();
  }

  #list(): readonly HostStatus[] {
    return [...this.#board.values()].sort((a, b) => (a.node < b.node ? -1 : 1));
  }

  async *#watch(line: Line, signal: AbortSignal): AsyncIterable<HostStatus> {
    const seen = new Map<string, HostStatus>();
    const era = this.#era;
    while (!signal.aborted) {
      if (this.#era !== era) throw new LogError("unreachable", "consumer lost");
      this.#refuse(line);
      const fresh = [...this.#board.values()].filter((status) => seen.get(status.node) !== status);
      for (const status of fresh) {
        seen.set(status.node, status);
        yield status;
      }
      if (fresh.length === 0) await this.#change(signal);
    }
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#changed.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#changed.add(done);
      signal.addEventListener("abort", done);
    });
  }

  #notify(): void {
    for (const wake of [...this.#changed]) wake();
  }

  async #delay(): Promise<void> {
    const ms = Math.floor(this.#random() * (this.#faults.delayMsMax ?? 0));
    if (ms > 0) await new Promise<void>((resolve) => void this.#clock.after(ms, resolve));
  }

  #strikes(probability: number | undefined): boolean {
    return probability !== undefined && this.#random() < probability;
  }
}

interface Line {
  cut: boolean;
}

/** mulberry32. */
function prng(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
