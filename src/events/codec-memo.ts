// Data that was decoded before, by the very bytes it was written in. Most of a long log says again
// what it said already (a renewal differs from the last one in its id alone), and parsing and
// checking the same bytes gives the same result. Only data that passed every check is kept, and
// only when it is met a second time; what is kept is frozen, because many events share it; and it
// is bounded.

import { type Frame, HEADS, hasAt } from "./codec-frame.ts";
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

const ENTRIES_MAX = 16_384;
const BODY_BYTES_MAX = 1024;

/** Two generations: what was used since the last turn outlives the next. */
let young = new Map<number, Kept>();
let old = new Map<number, Kept>();

/** One bit per hash that was met, by its low bits; begun anew before it is full of others' bits. */
const MET_BITS = 1 << 18;
const met = new Int32Array(MET_BITS / 32);
let metCount = 0;

/**
 * A log that says only what was not said before (10 000 hosts that join) is not worth a look at
 * each record, 1 us in a process that just started: after so many strangers in a row it is one in
 * thirty-two, at uneven distances, so that what comes round again is met whatever its period. Once
 * one is recognised, so many are looked at as could be remembered.
 */
const STRANGERS_MAX = 128;
const GAPS = 64;
let strangers = 0;
let gap = 0;
let toSkip = 0;

/** False when the record is not to be looked up, nor taken note of. */
export function isWorthALook(): boolean {
  if (strangers < STRANGERS_MAX) return true;
  if (toSkip-- > 0) return false;
  // Each of 0 to 63 comes once before any comes again.
  gap = (5 * gap + 3) % GAPS;
  toSkip = gap;
  return true;
}

export function recall(
  fabric: string,
  payload: Uint8Array,
  frame: Frame,
  hash: number,
): Known | null {
  let found = young.get(hash);
  if (found === undefined) {
    found = old.get(hash);
    if (found === undefined) return null;
    keep(hash, found);
  }
  if (found.fabric !== fabric || !isWrittenIn(payload, frame, found)) return null;
  strangers = -ENTRIES_MAX;
  return found;
}

function isWrittenIn(payload: Uint8Array, frame: Frame, { head, body }: Kept): boolean {
  if (head.length !== frame.idAt || body.length !== frame.bodyEnd - frame.bodyAt) return false;
  return hasAt(payload, 0, head) && hasAt(payload, frame.bodyAt, body);
}

/**
 * Takes note of data that passed every check. `isWhole` says whether the body alone is the JSON of
 * the data: `{"a":1},"id":"x"` fits the frame as well.
 */
export function remember(
  payload: Uint8Array,
  frame: Frame,
  hash: number,
  known: Known,
  isWhole: (body: Uint8Array) => boolean,
): void {
  if (!isMetAgain(hash) || frame.bodyEnd - frame.bodyAt > BODY_BYTES_MAX) return;
  const head = HEADS.get(known.type);
  if (head === undefined || head.length !== frame.idAt || !hasAt(payload, 0, head)) return;
  // A copy, which `slice` of a Buffer is not: the payload is part of what the socket delivered.
  const body = Uint8Array.from(payload.subarray(frame.bodyAt, frame.bodyEnd));
  if (!isWhole(body)) return;
  freeze(known.data);
  keep(hash, { ...known, head, body });
}

function isMetAgain(hash: number): boolean {
  const place = (hash & (MET_BITS - 1)) >>> 5;
  const bits = met[place] ?? 0;
  const bit = 1 << (hash & 31);
  if ((bits & bit) !== 0) {
    strangers = Math.min(strangers, 0);
    return true;
  }
  strangers++;
  if (metCount++ < ENTRIES_MAX) {
    met[place] = bits | bit;
  } else {
    met.fill(0);
    metCount = 0;
  }
  return false;
}

function keep(hash: number, kept: Kept): void {
  if (young.size >= ENTRIES_MAX / 2) {
    old = young;
    young = new Map();
  }
  young.set(hash, kept);
}

function freeze(value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  for (const part of Object.values(value)) freeze(part);
  Object.freeze(value);
}
