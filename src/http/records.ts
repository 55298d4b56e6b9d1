// Raw records by chunk: the newest as they come from the follower, the others compressed, of which
// the most recently used are kept; a log of some million records is kept whole. Memory is bounded
// by bytes; a chunk that is not there is read from the log.

import { type EventLog, LogError, type Recorded } from "../events/log.ts";
import { Chunk } from "./chunk.ts";
import { CHUNK, chunkOf } from "./journal.ts";

const BYTES_MAX = 32 << 20;
/** Unpacked at one time: a page and a fold look at up to four in a row. */
const OPEN_MAX = 8;
/** A log that has lost its end since would be waited on for ever. */
const READ_MS = 5000;

export class Records {
  readonly #log: EventLog;
  readonly #bytesMax: number;
  /** In order of use. */
  readonly #packed = new Map<number, Uint8Array>();
  readonly #open = new Map<number, Chunk>();
  readonly #reading = new Map<number, Promise<Chunk>>();
  #bytes = 0;
  /** The chunk that still grows. */
  #newest = new Chunk(1);
  #newestIndex = 0;

  constructor(log: EventLog, bytesMax = BYTES_MAX) {
    this.#log = log;
    this.#bytesMax = bytesMax;
  }

  /** To be called for each record, in order. */
  note(record: Recorded): void {
    // The payload may be a view into all that the socket delivered with it.
    this.#newest.add({ ...record, payload: record.payload.slice() });
    if (this.#newest.records.length < CHUNK) return;
    this.#keep(this.#newestIndex++, this.#newest.pack());
    this.#newest = new Chunk(this.#newestIndex * CHUNK + 1);
  }

  /** A chunk whose first record was noted. Throws LogError. */
  async chunk(index: number): Promise<Chunk> {
    if (index === this.#newestIndex) return this.#newest;
    const open = this.#open.get(index);
    if (open !== undefined) return touch(this.#open, index, open);
    const packed = this.#packed.get(index);
    if (packed !== undefined) {
      touch(this.#packed, index, packed);
      return this.#opened(index, packed);
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
      const chunk = new Chunk(from);
      for await (const batch of this.#log.read(from, AbortSignal.timeout(READ_MS), { last })) {
        for (const record of batch) chunk.add(record);
      }
      if (chunk.records.length !== CHUNK) {
        throw new LogError("gap", `the log does not give its records ${from} to ${last}`);
      }
      const packed = chunk.pack();
      this.#keep(index, packed);
      return this.#opened(index, packed);
    } finally {
      this.#reading.delete(index);
    }
  }

  #opened(index: number, packed: Uint8Array): Chunk {
    const chunk = new Chunk(index * CHUNK + 1, packed);
    this.#open.set(index, chunk);
    for (const oldest of this.#open.keys()) {
      if (this.#open.size <= OPEN_MAX) break;
      this.#open.delete(oldest);
    }
    return chunk;
  }

  #keep(index: number, packed: Uint8Array): void {
    this.#packed.set(index, packed);
    this.#bytes += packed.length;
    for (const [oldest, { length }] of this.#packed) {
      if (this.#bytes <= this.#bytesMax || oldest === index) return;
      this.#packed.delete(oldest);
      this.#bytes -= length;
    }
  }
}

function touch<V>(map: Map<number, V>, key: number, value: V): V {
  map.delete(key);
  map.set(key, value);
  return value;
}
