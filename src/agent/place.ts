// Where a tail stands in a log, and how it knows that log again: by the stream's creation time and
// by the record that it stands on.

import type { EventLog, LogInfo, Recorded } from "../events/log.ts";
import type { Position, Snapshot } from "../events/snapshot.ts";
import { type FabricState, initialState } from "../events/state.ts";
import { type Chain, fromHex, genesis, hex, recordHash } from "./chain.ts";
import { LazyChain } from "./lazy-chain.ts";

/** Nobody waits for a server's routes, and it reads the longest logs beside all that it keeps. */
const UNHASHED_BYTES_MAX = { host: 8 << 20, server: 64 << 10 } as const;

export class Place {
  readonly state: FabricState;
  readonly #chain: LazyChain;
  /** Null until a log was seen. */
  created: string | null;
  /** Head of the log when this process first reached it; null until then. */
  target: number | null = null;
  /** Last sequence known to be in the log. */
  head: number;

  constructor(fabric: string, node: string | null, snapshot: Snapshot | null) {
    this.state = snapshot?.state ?? initialState(fabric, node);
    this.created = snapshot?.position.created ?? null;
    this.head = this.state.seq;
    const known = snapshot === null ? genesis : chainOf(snapshot.position);
    this.#chain = new LazyChain(known, UNHASHED_BYTES_MAX[node === null ? "server" : "host"]);
  }

  get chain(): Chain {
    return this.#chain.now();
  }

  /** Lets go of the records that are kept until the chain is asked for. */
  hash(): void {
    this.#chain.now();
  }

  position(): Position {
    const { created, chain, state } = this;
    return { created: created ?? "", seq: state.seq, chain: hex(chain.hash), tip: hex(chain.tip) };
  }

  /** Takes note of a log that was found to be the known one. */
  recognise(info: LogInfo): void {
    // Another log, or one that lost its end, has another head to reach.
    const target = this.created === info.created ? this.target : null;
    this.target = Math.min(target ?? info.lastSeq, info.lastSeq);
    this.created = info.created;
    this.head = Math.max(this.state.seq, info.lastSeq);
  }

  /** Before `record` is folded. */
  pass(record: Recorded): void {
    this.#chain.pass(record);
    this.head = Math.max(this.head, record.seq);
  }
}

function chainOf(position: Position): Chain {
  return { hash: fromHex(position.chain), tip: fromHex(position.tip) };
}

/** Why this log is not the continuation of what was folded, or null when it is. Throws LogError. */
export async function damageOf(log: EventLog, info: LogInfo, place: Place): Promise<string | null> {
  const { seq } = place.state;
  if (seq > 0 && place.created !== null && place.created !== info.created) {
    return `the stream was recreated at ${info.created}; the known one is of ${place.created}`;
  }
  if (info.lastSeq < seq) {
    return `the log went backwards: its last sequence is ${info.lastSeq}, ${seq} is applied`;
  }
  if (info.lastSeq > 0 && info.firstSeq > seq + 1) {
    return `the log was cut off: it begins at sequence ${info.firstSeq}, ${seq} is applied`;
  }
  if (seq === 0) return null;
  const record = await log.get(seq);
  if (record === null) return `the log does not hold sequence ${seq}, which is applied`;
  if (hex(recordHash(record)) !== hex(place.chain.tip)) {
    return `the log was rewritten: sequence ${seq} is not the one that was applied`;
  }
  return null;
}
