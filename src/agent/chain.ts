// The hash over the log that each host keeps for itself: two logs that differ anywhere before a
// sequence differ in the chain at that sequence. 0.25 us per record of 300 bytes.

import type { Recorded } from "../events/log.ts";
import { recordBytes } from "../events/record-bytes.ts";
import { sha256 } from "./sha256.ts";

const GENESIS = new Uint8Array(32);

export interface Chain {
  readonly hash: Uint8Array;
  /** Hash of the last record alone. */
  readonly tip: Uint8Array;
}

export const genesis: Chain = { hash: GENESIS, tip: GENESIS };

/** Hash of one record: its sequence, its time, its subject and its bytes. */
export function recordHash(record: Recorded): Uint8Array {
  return sha256(recordBytes(record));
}

export function extend(chain: Chain, record: Recorded): Chain {
  const tip = recordHash(record);
  const both = new Uint8Array(64);
  both.set(chain.hash);
  both.set(tip, 32);
  return { hash: sha256(both), tip };
}

/** What `extend` would say after each of `records`, without a buffer for each step of it. */
export function extendAll(chain: Chain, records: readonly Recorded[]): Chain {
  if (records.length === 0) return chain;
  const both = new Uint8Array(64);
  both.set(chain.hash);
  const hash = both.subarray(0, 32);
  const tip = both.subarray(32);
  for (const record of records) {
    sha256(recordBytes(record), tip);
    sha256(both, hash);
  }
  return { hash, tip };
}

export function hex(hash: Uint8Array): string {
  return Buffer.from(hash).toString("hex");
}

export function fromHex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "hex"));
}
