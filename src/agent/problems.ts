// What keeps a host from being well, one line each, from what its parts say. Pure.

import type { Plan } from "../reconcilers/plan.ts";
import type { Round } from "../reconcilers/round.ts";
import type { TailView } from "./tail.ts";

/** A log that does not answer for this long at start is answered for by the snapshot. */
export const OFFLINE_START_MS = 1500;
/** A shorter loss of the log is not worth a word. */
const LOST_LOG_MS = 5000;

export interface Symptoms {
  readonly tail: TailView;
  /** How long the log has not answered. */
  readonly lostMs: number;
  readonly plan: Plan | null;
  readonly round: Round | null;
  /**
   * What keeps the host from saying what it has to say in the log, and its files from being
   * right.
   */
  readonly keep: string | null;
  readonly file: string | null;
  readonly misses: string | null;
}

export function problemsOf({
  tail,
  lostMs,
  plan,
  round,
  keep,
  file,
  misses,
}: Symptoms): readonly string[] {
  const found: string[] = [];
  if (tail.damage !== null) found.push(`frozen: ${tail.damage}`);
  const slowStart = !tail.caughtUp && lostMs >= OFFLINE_START_MS;
  const useless = tail.connected && tail.damage === null;
  if (tail.trouble?.kind === "missing" && useless) {
    found.push("the fabric has no log: run heddle init");
  } else if (tail.trouble !== null && (useless || slowStart || lostMs >= LOST_LOG_MS)) {
    found.push(`log: ${tail.trouble.message}`);
  }
  if (keep !== null) found.push(keep);
  if (file !== null) found.push(file);
  if (misses !== null) found.push(misses);
  for (const problem of plan?.problems ?? []) found.push(problem);
  for (const { node, error } of plan?.peers ?? []) {
    if (error !== null) found.push(`peer ${node}: ${error}`);
  }
  if (round?.error != null) found.push(`kernel: ${round.error}`);
  for (const [who, why] of round?.failures ?? []) {
    found.push(who === null ? why : `peer ${who}: ${why}`);
  }
  return found;
}
