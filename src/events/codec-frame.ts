// Where the parts of a payload are, if it is written the way `encode` writes: found in the bytes,
// without making a string of them. Says nothing about whether the data is JSON.

import { type EventType, eventVersion } from "./event.ts";

/** Offsets into a payload: `{"type":"T","v":N,"id":"ID","data":BODY}`. */
export interface Frame {
  readonly typeEnd: number;
  readonly idAt: number;
  readonly idEnd: number;
  readonly bodyAt: number;
  readonly bodyEnd: number;
}

const bytes = new TextEncoder();
const ascii = new TextDecoder();

/** What stands before the id, by type, at its current version. */
export const HEADS: ReadonlyMap<EventType, Uint8Array> = new Map(
  Object.entries(eventVersion).map(([type, v]) => [
    type as EventType,
    bytes.encode(`{"type":"${type}","v":${v},"id":"`),
  ]),
);
const TYPE_AT = '{"type":"'.length;
const TYPE_CHARS_MAX = 32;
const TYPE_TO_ID = '","v":1,"id":"'.length;
const ID_CHARS_MAX = 128;
const AFTER_ID = bytes.encode('","data":');
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const CLOSE = 0x7d;

/** The parts of `payload`, or null when it is laid out otherwise. What is before the id is not
 *  checked here: the caller compares it with the head of the type it expects. */
export function frameOf(payload: Uint8Array): Frame | null {
  const typeEnd = plainEnd(payload, TYPE_AT, TYPE_CHARS_MAX);
  const idAt = typeEnd + TYPE_TO_ID;
  const idEnd = plainEnd(payload, idAt, ID_CHARS_MAX);
  const bodyAt = idEnd + AFTER_ID.length;
  const bodyEnd = payload.length - 1;
  if (idEnd === idAt || !hasAt(payload, idEnd, AFTER_ID)) return null;
  return bodyAt < bodyEnd && payload[bodyEnd] === CLOSE
    ? { typeEnd, idAt, idEnd, bodyAt, bodyEnd }
    : null;
}

/** Where what is printable and needs no escape ends, at most `max` bytes away. */
function plainEnd(payload: Uint8Array, from: number, max: number): number {
  const last = Math.min(payload.length, from + max);
  let at = from;
  for (; at < last; at++) {
    const byte = payload[at] ?? 0;
    if (byte <= 0x20 || byte > 0x7e || byte === QUOTE || byte === BACKSLASH) break;
  }
  return at;
}

/** True when `part` stands in `payload` at `from`. */
export function hasAt(payload: Uint8Array, from: number, part: Uint8Array): boolean {
  if (from + part.length > payload.length) return false;
  for (let i = 0; i < part.length; i++) if (payload[from + i] !== part[i]) return false;
  return true;
}

/** The id as text. Made when asked for: a replay of a million events asks for none. */
export function idOf(payload: Uint8Array, { idAt, idEnd }: Frame): string {
  return ascii.decode(payload.subarray(idAt, idEnd));
}

/** A hash of type and data, for look-up: whoever uses it compares the bytes as well. */
export function hashOf(payload: Uint8Array, { typeEnd, bodyAt, bodyEnd }: Frame): number {
  return hashRange(
    payload,
    bodyAt,
    bodyEnd,
    hashRange(payload, TYPE_AT, typeEnd, bodyEnd - bodyAt),
  );
}

/** Four bytes at a time. The shift brings what a multiplication moved up down again: without it,
 *  words that differ in their last byte alone would differ in the last byte of the hash alone. */
function hashRange(payload: Uint8Array, from: number, to: number, seed: number): number {
  let hash = seed;
  let at = from;
  for (; at + 4 <= to; at += 4) hash = mix(hash ^ word(payload, at));
  for (; at < to; at++) hash = mix(hash ^ (payload[at] ?? 0));
  return hash;
}

/** A step of MurmurHash3's finalizer. */
function mix(hash: number): number {
  const product = Math.imul(hash, 0x85ebca6b);
  return product ^ (product >>> 13);
}
function word(payload: Uint8Array, at: number): number {
  const low = (payload[at] ?? 0) | ((payload[at + 1] ?? 0) << 8);
  return low | ((payload[at + 2] ?? 0) << 16) | ((payload[at + 3] ?? 0) << 24);
}
