// Data that was decoded before, by the very bytes it was written in. Most of a long log says again
// what it said already (a renewal differs from the last one in its id alone), and parsing and
// checking the same bytes gives the same result. Only data that passed every check is kept, and
// only when it is met a second time; what is kept is frozen, because many events share it; and it
// is bounded.

import { type Frame, frameOf, HEADS, hasAt, hashOf } from "./codec-frame.ts";
import type { Draft, EventType } from "./event.ts";

/** Checked data of the current version of its type, and the subject it belongs on. */
export interface Known {
  readonly type: EventType;
  readonly fabric: string;
  readonly subject: string;
  readonly data: Draft["data"];
}

interface Kept extends Known {
  /** What stands before the id and after it, byte for byte. */
  readonly head: Uint8Array;
  readonly body: Uint8Array;
}

/** Where the parts of a payload are, and the hash by which it is looked up. */
export interface Place {
  readonly frame: Frame;
  readonly hash: number;
}

const ENTRIES_MAX = 16_384;
const BODY_BYTES_MAX = 1024;
const MET_BITS = 1 << 18;

/**
 * A log that says only what was not said before (10 000 hosts that join) is not worth a look at
 * each record, 1 us in a process that just started: after so many strangers it is one in
 * thirty-two, at uneven distances, so that what comes round again is met whatever its period. Once
 * one is recognised, so many are looked at as could be remembered.
 */
const STRANGERS_MAX = 128;
const GAPS = 64;
/**
 * What seems to have been met counts against so many strangers: of a log of strangers alone one in
 * sixteen may seem so.
 */
const MET_WEIGHT = 4;

export class CodecMemo {
  /** Two generations: what was used since the last turn outlives the next. */
  private young = new Map<number, Kept>();
  private old = new Map<number, Kept>();
  /** One bit per hash that was met, by its low bits; begun anew before it is full of others'. */
  private readonly met = new Int32Array(MET_BITS / 32);
  private metCount = 0;
  private strangers = 0;
  private gap = 0;
  private toSkip = 0;

  /** Null when the record is not to be looked up, nor taken note of. */
  placeOf(payload: Uint8Array): Place | null {
    if (!this.isWorthALook()) return null;
    const frame = frameOf(payload);
    return frame === null ? null : { frame, hash: hashOf(payload, frame) };
  }

  private isWorthALook(): boolean {
    if (this.strangers < STRANGERS_MAX) return true;
    if (this.toSkip-- > 0) return false;
    // Each of 0 to 63 comes once before any comes again.
    this.gap = (5 * this.gap + 3) % GAPS;
    this.toSkip = this.gap;
    return true;
  }

  recall(fabric: string, payload: Uint8Array, { frame, hash }: Place): Known | null {
    let found = this.young.get(hash);
    if (found === undefined) {
      found = this.old.get(hash);
      if (found === undefined) return null;
      this.keep(hash, found);
    }
    if (found.fabric !== fabric || !isWrittenIn(payload, frame, found)) return null;
    this.strangers = -ENTRIES_MAX;
    return found;
  }

  /**
   * Takes note of data that passed every check. `isWhole` says whether the body alone is the JSON
   * of the data: `{"a":1},"id":"x"` fits the frame as well.
   */
  remember(
    payload: Uint8Array,
    { frame, hash }: Place,
    known: Known,
    isWhole: (body: Uint8Array) => boolean,
  ): void {
    if (!this.isMetAgain(hash) || frame.bodyEnd - frame.bodyAt > BODY_BYTES_MAX) return;
    const head = HEADS.get(known.type);
    if (head === undefined || head.length !== frame.idAt || !hasAt(payload, 0, head)) return;
    // A copy, which `slice` of a Buffer is not: the payload is part of what the socket delivered.
    const body = Uint8Array.from(payload.subarray(frame.bodyAt, frame.bodyEnd));
    if (!isWhole(body)) return;
    freeze(known.data);
    this.keep(hash, { ...known, head, body });
  }

  private isMetAgain(hash: number): boolean {
    const place = (hash & (MET_BITS - 1)) >>> 5;
    const bits = this.met[place] ?? 0;
    const bit = 1 << (hash & 31);
    if ((bits & bit) !== 0) {
      this.strangers -= MET_WEIGHT;
      return true;
    }
    this.strangers++;
    if (this.metCount++ < ENTRIES_MAX) {
      this.met[place] = bits | bit;
    } else {
      this.met.fill(0);
      this.metCount = 0;
    }
    return false;
  }

  private keep(hash: number, kept: Kept): void {
    if (this.young.size >= ENTRIES_MAX / 2) {
      this.old = this.young;
      this.young = new Map();
    }
    this.young.set(hash, kept);
  }
}

function isWrittenIn(payload: Uint8Array, frame: Frame, { head, body }: Kept): boolean {
  if (head.length !== frame.idAt || body.length !== frame.bodyEnd - frame.bodyAt) return false;
  return hasAt(payload, 0, head) && hasAt(payload, frame.bodyAt, body);
}

function freeze(value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  for (const part of Object.values(value)) freeze(part);
  Object.freeze(value);
}
