// Reads a log that was followed before once more from its first record, and compares its chain hash
// with the one that was kept: somebody with the server's disk can change a record far behind, and
// the record that a host stands on does not show it.
//
// All hosts do this after one restart of the server, so it is paced: together they ask it for
// 20 000 records a second at most, a fifteenth of what it can deliver.

import { type Clock, sleep } from "../events/clock.ts";
import { fnv1a64 } from "../events/hash.ts";
import type { EventLog } from "../events/log.ts";
import { type Chain, extend, genesis, hex } from "./chain.ts";

export interface Recheck {
  readonly log: EventLog;
  readonly clock: Clock;
  /** What the chain was after `seq`. */
  readonly seq: number;
  readonly chain: Chain;
  /** Hosts that do the same. */
  readonly hosts: number;
  /** Places this host among them. */
  readonly node: string;
}

/** What one pull of the reader brings. */
const STEP = 5000;
const PAUSE_MS_PER_HOST = 250;

/** False when the log differs; null when `signal` aborts before that is known. Throws LogError. */
export async function isUnchanged(
  { log, clock, seq, chain, hosts, node }: Recheck,
  signal: AbortSignal,
): Promise<boolean | null> {
  const pauseMs = Math.max(1, hosts) * PAUSE_MS_PER_HOST;
  await sleep(clock, pauseMs * turnOf(node), signal);
  let found = genesis;
  // Each step by a reader of its own: the server drops one that pauses.
  for (let from = 1; from <= seq; from += STEP) {
    if (from > 1) await sleep(clock, pauseMs, signal);
    const last = Math.min(seq, from + STEP - 1);
    for await (const batch of log.read(from, signal, { last })) {
      for (const record of batch) found = extend(found, record);
    }
    if (signal.aborted) return null;
  }
  return hex(found.hash) === hex(chain.hash);
}

/** From 0 to 1, evenly over all names. */
function turnOf(node: string): number {
  return Number(fnv1a64(node) % 1000n) / 1000;
}
