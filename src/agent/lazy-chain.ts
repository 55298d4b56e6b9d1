// The chain of a log that is being followed, hashed when it is asked for and not as the records
// come: between a record and the route that follows from it nobody needs it, and of a start with
// 20 000 records it took 25 ms.

import type { Recorded } from "../events/log.ts";
import { type Chain, extendAll } from "./chain.ts";

export class LazyChain {
  #known: Chain;
  /** Passed and not hashed yet. */
  #records: Recorded[] = [];
  #bytes = 0;
  readonly #bytesMax: number;

  /** `bytesMax` of payload are kept at most; with what is around them it is twice that. */
  constructor(known: Chain, bytesMax: number) {
    this.#known = known;
    this.#bytesMax = bytesMax;
  }

  pass(record: Recorded): void {
    this.#records.push(record);
    this.#bytes += record.payload.length;
    if (this.#bytes > this.#bytesMax) this.now();
  }

  /** After the last record that passed. */
  now(): Chain {
    this.#known = extendAll(this.#known, this.#records);
    this.#records = [];
    this.#bytes = 0;
    return this.#known;
  }
}
