// What the server remembers of every record: one byte, its type and how it stands; and of every
// 1024th its time. A million records are a megabyte, and a search by type or time reads no record
// that it does not show.

import { type EventType, eventTypes } from "../events/event.ts";
import type { Folded } from "../events/fold.ts";
import type { Recorded } from "../events/log.ts";
import { isPlain } from "./plain-line.ts";

/** Records per chunk: the unit in which records are read, kept and found by time. */
export const CHUNK = 1024;

/** Low bits of a byte: the place in eventTypes, from 1; 0 is a record that cannot be decoded. */
const TYPE_BITS = 6;
const TYPE_MASK = (1 << TYPE_BITS) - 1;
const STANDINGS = ["plain", "accepted", "refused"] as const;

/** Plain is accepted too, and stored in the words it is shown in (plain-line.ts). */
export type Standing = (typeof STANDINGS)[number];

/** The log's own, or newest first. */
export type Order = "asc" | "desc";

/** 0-based chunk that `seq` is in. */
export function chunkOf(seq: number): number {
  return Math.floor((seq - 1) / CHUNK);
}

export class Journal {
  #bytes = new Uint8Array(CHUNK);
  #seq = 0;
  /** Log time of the first record of each chunk; never falls. */
  readonly #times: number[] = [];

  /** Last sequence noted. */
  get seq(): number {
    return this.#seq;
  }

  /** `timeMs` is the fold's: the latest time seen up to there. */
  note(timeMs: number, record: Recorded, folded: Folded): void {
    if (this.#seq % CHUNK === 0) this.#times.push(timeMs);
    if (this.#seq === this.#bytes.length) {
      const larger = new Uint8Array(this.#bytes.length * 2);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    const { event } = folded;
    const type = event === null ? 0 : eventTypes.indexOf(event.type) + 1;
    const standing = STANDINGS.indexOf(standingOf(record, folded));
    this.#bytes[this.#seq++] = type | (standing << TYPE_BITS);
  }

  standing(seq: number): Standing {
    return STANDINGS[(this.#bytes[seq - 1] ?? 0) >> TYPE_BITS] ?? "refused";
  }

  /** Null when it could not be decoded. */
  type(seq: number): EventType | null {
    return eventTypes[((this.#bytes[seq - 1] ?? 0) & TYPE_MASK) - 1] ?? null;
  }

  /**
   * Finds the first sequence from `from` to `last`, which may be before it, of one of these types;
   * of any if none.
   */
  finder(types: readonly EventType[], order: Order): (from: number, last: number) => number | null {
    const step = order === "asc" ? 1 : -1;
    const isWithin = (seq: number, last: number): boolean => (last - seq) * step >= 0;
    if (types.length === 0) return (from, last) => (isWithin(from, last) ? from : null);
    const codes = new Set(types.map((type) => eventTypes.indexOf(type) + 1));
    return (from, last) => {
      for (let seq = from; isWithin(seq, last); seq += step) {
        if (codes.has((this.#bytes[seq - 1] ?? 0) & TYPE_MASK)) return seq;
      }
      return null;
    };
  }

  /** The chunk with the last record stamped at or before `ms`; -1 when all are later. */
  chunkAt(ms: number): number {
    let low = 0;
    let high = this.#times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#times[middle] ?? 0) <= ms) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** Log time of the first record, or null. */
  beganMs(): number | null {
    return this.#times[0] ?? null;
  }
}

function standingOf(record: Recorded, folded: Folded): Standing {
  if (folded.verdict.kind !== "accepted") return "refused";
  return isPlain(record, folded) ? "plain" : "accepted";
}
