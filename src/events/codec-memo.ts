// Data that was decoded before, by the very text it was written in. Most of a long log says again
// what it said already (a renewal differs from the last one in its id alone), and parsing and
// checking the same characters gives the same result. Only data that passed every check is kept;
// what is kept is frozen, because many events share it; and it is bounded.

import type { Draft, EventType } from "./event.ts";

/** Checked data, and the subject it belongs on. */
export interface Known {
  readonly type: EventType;
  readonly fabric: string;
  readonly subject: string;
  readonly data: Draft["data"];
}

const ENTRIES_MAX = 16_384;
const CHARS_MAX = 1024;

/** Two generations: what was used since the last turn outlives the next. */
let young = new Map<string, Known>();
let old = new Map<string, Known>();

/** `body` is the text of the data alone, which two types may share. */
export function recall(fabric: string, type: EventType, body: string): Known | null {
  let found = young.get(body);
  if (found === undefined) {
    found = old.get(body);
    if (found !== undefined) keep(body, found);
  }
  return found?.type === type && found.fabric === fabric ? found : null;
}

export function remember(body: string, known: Known): void {
  if (body.length > CHARS_MAX) return;
  freeze(known.data);
  keep(body, known);
}

function keep(body: string, known: Known): void {
  if (young.size >= ENTRIES_MAX / 2) {
    old = young;
    young = new Map();
  }
  young.set(body, known);
}

function freeze(value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  for (const part of Object.values(value)) freeze(part);
  Object.freeze(value);
}
