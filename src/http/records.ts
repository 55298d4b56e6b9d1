// Raw records by chunk: the newest as they come from the follower, of the others the most recently
// used. Memory is bounded by bytes; a chunk that is not there is read from the log.

import { type EventLog, LogError, type Recorded } from "../events/log.ts";
import { CHUNK, chunkOf } from "./journal.ts";

export interface Chunk {
  readonly records: Recorded[];
  /** The first of the records as text, once somebody asked; see pages.ts. */
  readonly lines: string[];
}

interface Kept {
  readonly chunk: Chunk;
  readonly bytes: number;
}

const BYTES_MAX = 24 << 20;
/** What a record takes beside its payload: objects and subject. */
const OVERHEAD_BYTES = 200;
/** A log that has lost its end since would be waited on for ever. */
const READ_MS = 5000;

export class Records {
  readonly #log: EventLog;
  readonly #bytesMax: number;
  /** In order of use. */
  readonly #kept = new Map<number, Kept>();
  readonly #reading = new Map<number, Promise<Chunk>>();
  #bytes = 0;
  /** The chunk that still grows. */
  #newest: Chunk = { records: [], lines: [] };
  #newestIndex = 0;

  constructor(log: EventLog, bytesMax = BYTES_MAX) {
    this.#log = log;
    this.#bytesMax = bytesMax;
  }

  /** To be called for each record, in order. */
  note(record: Recorded): void {
    this.#newest.records.push(owned(record));
    if (this.#newest.records.length < CHUNK) return;
    this.#keep(this.#newestIndex++, this.#newest);
    this.#newest = { records: [], lines: [] };
  }

  /** A chunk whose first record was noted. Throws LogError. */
  async chunk(index: number): Promise<Chunk> {
    if (index === this.#newestIndex) return this.#newest;
    const kept = this.#kept.get(index);
    if (kept !== undefined) {
      this.#kept.delete(index);
      this.#kept.set(index, kept);
      return kept.chunk;
    }
    const under = this.#reading.get(index) ?? this.#read(index);
    this.#reading.set(index, under);
    return await under;
  }

  /** Records of `from` to `last`, chunk by chunk; `last` was noted. Throws LogError. */
  async *range(from: number, last: number): AsyncIterable<readonly Recorded[]> {
    if (last < from) return;
    for (let index = chunkOf(from); index <= chunkOf(last); index++) {
      const { records } = await this.chunk(index);
      const base = index * CHUNK;
      yield records.slice(Math.max(0, from - 1 - base), last - base);
    }
  }

  async #read(index: number): Promise<Chunk> {
    const from = index * CHUNK + 1;
    const last = from + CHUNK - 1;
    try {
      const records: Recorded[] = [];
      for await (const batch of this.#log.read(from, AbortSignal.timeout(READ_MS), last)) {
        records.push(...batch.map(owned));
      }
      if (records.length !== CHUNK) {
        throw new LogError("gap", `the log does not give its records ${from} to ${last}`);
      }
      const chunk: Chunk = { records, lines: [] };
      this.#keep(index, chunk);
      return chunk;
    } finally {
      this.#reading.delete(index);
    }
  }

  #keep(index: number, chunk: Chunk): void {
    // The text of a payload, once asked for, is about as long again.
    const payloads = chunk.records.reduce((sum, { payload }) => sum + payload.length, 0);
    const bytes = 2 * payloads + CHUNK * OVERHEAD_BYTES;
    this.#kept.set(index, { chunk, bytes });
    this.#bytes += bytes;
    for (const [oldest, { bytes: freed }] of this.#kept) {
      if (this.#bytes <= this.#bytesMax || oldest === index) return;
      this.#kept.delete(oldest);
      this.#bytes -= freed;
    }
  }
}

/** The payload may be a view into all that the socket delivered with it. */
function owned(record: Recorded): Recorded {
  return { ...record, payload: record.payload.slice() };
}
