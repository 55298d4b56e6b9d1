// The chain of a log that is being followed, hashed when it is asked for and not as the records
// come: between a record and the route that follows from it nobody needs it, and of a start with
// 20 000 records it took 25 ms.

import type { Recorded } from "../events/log.ts";
import { type Chain, extendAll } from "./chain.ts";

/** Bytes of payload that are kept at most; with what is around them it is twice that. */
const KEPT_BYTES_MAX = 8 << 20;

export class LazyChain {
  #known: Chain;
  /** Passed and not hashed yet. */
  #records: Recorded[] = [];
  #bytes = 0;

  constructor(known: Chain) {
    this.#known = known;
  }

  pass(record: Recorded): void {
    this.#records.push(record);
    this.#bytes += record.payload.length;
    if (this.#bytes > KEPT_BYTES_MAX) this.now();
  }

  /** After the last record that passed. */
  now(): Chain {
    this.#known = extendAll(this.#known, this.#records);
    this.#records = [];
    this.#bytes = 0;
    return this.#known;
  }
}
