// When to try again what the kernel refused: each object by itself, so that one peer that cannot be
// programmed delays nobody else, and a device never for long. A wish that changed starts afresh.

import type { NounRules } from "./noun.ts";
import { nouns } from "./nouns.ts";
import type { NounTypes, Op } from "./op.ts";

const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 30_000;
/** Without its device a host carries nothing, and no notification tells that a port is free. */
const DEVICE_RETRY_MS_MAX = 1500;

export interface Retry {
  readonly op: Op;
  readonly failures: number;
  readonly dueMs: number;
  readonly message: string;
}

/** By `idOf`. */
export type Retries = Map<string, Retry>;

export function idOf({ noun, key }: Pick<Op, "noun" | "key">): string {
  return `${noun} ${key}`;
}

/** 100 ms, doubled with each failure, at most 30 s. */
export function delayMs(failures: number): number {
  // Bounded before the power: 2 ** 1100 is Infinity, and a host may fail for weeks.
  return Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(failures - 1, 16));
}

export function fail(retries: Retries, op: Op, nowMs: number, message: string): void {
  const before = retries.get(idOf(op));
  const failures = before !== undefined && sameIntent(before.op, op) ? before.failures + 1 : 1;
  const pauseMs = Math.min(
    delayMs(failures),
    op.noun === "link" ? DEVICE_RETRY_MS_MAX : RETRY_MS_MAX,
  );
  retries.set(idOf(op), { op, failures, dueMs: nowMs + pauseMs, message });
}

export function isHeld(retries: Retries, op: Op, nowMs: number): boolean {
  const retry = retries.size === 0 ? undefined : retries.get(idOf(op));
  return retry !== undefined && nowMs < retry.dueMs;
}

/** Forgets retries of what is no longer to be done, or is now to be done differently. */
export function forget(retries: Retries, ops: readonly Op[]): void {
  if (retries.size === 0) return;
  const open = new Map(ops.map((op) => [idOf(op), op]));
  for (const [id, retry] of retries) {
    const op = open.get(id);
    if (op === undefined || !sameIntent(retry.op, op)) retries.delete(id);
  }
}

/**
 * When the next retry is due, which may be past. One that was due at `triedMs`, when the round
 * chose what to try, and was not made waits for another object, which has a time of its own: waking
 * up for it would be spinning.
 */
export function nextDue(retries: Retries, triedMs: number): number | null {
  let next: number | null = null;
  for (const { dueMs } of retries.values()) {
    if (dueMs > triedMs && (next === null || dueMs < next)) next = dueMs;
  }
  return next;
}

function sameIntent(a: Op, b: Op): boolean {
  if (a.noun !== b.noun || a.verb !== b.verb) return false;
  const { same } = nouns[a.noun] as NounRules<NounTypes[Op["noun"]]>;
  return same(a.object, b.object);
}
