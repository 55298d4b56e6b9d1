// Records that follow one another in the log, as objects to be folded or as text to be shown: each
// form is made when it is first asked for.

import type { EventType } from "../events/event.ts";
import type { Recorded } from "../events/log.ts";
import { madeGarbage } from "./garbage.ts";
import { type Columns, columnsOf, compress, layOut } from "./packed.ts";
import { plainLine } from "./plain-line.ts";

/** A chunk as text, one character for each byte: offsets are the same in both. */
interface Written extends Omit<Columns, "bytes"> {
  readonly text: string;
}

export class Chunk {
  /** Lines of records that are not plain, by sequence; see pages.ts. */
  readonly lines = new Map<number, string>();
  readonly #first: number;
  readonly #packed: Uint8Array | null;
  #records: Recorded[] | null;
  #written: Written | null = null;

  /** An empty one, of which `first` will be the first sequence; or one that was packed. */
  constructor(first: number, packed: Uint8Array | null = null) {
    this.#first = first;
    this.#packed = packed;
    this.#records = packed === null ? [] : null;
  }

  get records(): readonly Recorded[] {
    return this.#made();
  }

  /** Throws RangeError when it is not in this chunk. */
  at(seq: number): Recorded {
    const record = this.records[seq - this.#first];
    if (record !== undefined) return record;
    throw new RangeError(`sequence ${seq} is not in the chunk that begins at ${this.#first}`);
  }

  /** Takes the record after its last. */
  add(record: Recorded): void {
    this.#made().push(record);
    this.#written = null;
  }

  pack(): Uint8Array {
    return compress(layOut(this.#made()));
  }

  /** The line of a plain record (plain-line.ts). */
  plainLine(seq: number, type: EventType): string {
    this.#written ??= written(this.#laidOut());
    const { text, times, subjects, ends, payloadsAt } = this.#written;
    const i = seq - this.#first;
    const place = { seq, timeMs: times[i] ?? 0, subject: subjects[i] ?? "" };
    return plainLine(place, type, text, ends[i - 1] ?? payloadsAt, ends[i] ?? 0);
  }

  #made(): Recorded[] {
    if (this.#records !== null) return this.#records;
    const bytes = this.#laidOut();
    // Memory outside its heap is not seen by the collector.
    madeGarbage(bytes.length);
    this.#records = recordsOf(this.#first, columnsOf(bytes));
    return this.#records;
  }

  #laidOut(): Uint8Array {
    return this.#packed === null ? layOut(this.#made()) : Bun.zstdDecompressSync(this.#packed);
  }
}

/** Takes the bytes: they are released at once, since the collector would come for them late. */
function written(laidOut: Uint8Array): Written {
  const { bytes, times, ...rest } = columnsOf(laidOut);
  const { buffer, byteOffset, length } = bytes;
  const text = Buffer.from(buffer, byteOffset, length).toString("latin1");
  const columns = { ...rest, times: times.slice(), text };
  // A page of ten lines leaves as much of this behind as one of a thousand.
  madeGarbage(text.length);
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
  return columns;
}

function recordsOf(first: number, columns: Columns): Recorded[] {
  const { bytes, times, subjects, ends, payloadsAt } = columns;
  let at = payloadsAt;
  return subjects.slice(0, times.length).map((subject, i) => {
    const end = ends[i] ?? at;
    const payload = bytes.subarray(at, end);
    at = end;
    return { seq: first + i, timeMs: times[i] ?? 0, subject, payload };
  });
}
