// Folded states kept at intervals, compressed, so that any state of the past is one of them plus a
// few thousand records. Memory is bounded: when the limit is reached every other one goes, and the
// intervals are twice as long from then on.

import { decodeState, encodeState } from "../events/snapshot.ts";
import { type FabricState, initialState } from "../events/state.ts";
import { madeGarbage } from "./garbage.ts";

interface Checkpoint {
  readonly seq: number;
  readonly bytes: Uint8Array;
}

const RECORDS = 4096;
/** A state that takes longer to keep and to restore is kept less often, as is folding it on. */
const RECORDS_PER_NODE = 4;
const BYTES_MAX = 32 << 20;
/** 3 is zstd's own default; 1 is twice as quick and a tenth larger. */
const LEVEL = 1;
/** Bytes of objects and copies for each byte of the text of a state. */
const OBJECTS_PER_TEXT = 8;

export class Checkpoints {
  readonly #fabric: string;
  readonly #bytesMax: number;
  #kept: Checkpoint[] = [];
  #bytes = 0;
  /** Between two of them, at least. */
  #records: number;

  constructor(fabric: string, { records = RECORDS, bytesMax = BYTES_MAX } = {}) {
    this.#fabric = fabric;
    this.#records = records;
    this.#bytesMax = bytesMax;
  }

  /** To be called after each record. */
  offer(state: Readonly<FabricState>): void {
    const last = this.#kept.at(-1)?.seq ?? 0;
    const interval = Math.max(this.#records, state.nodes.size * RECORDS_PER_NODE);
    if (state.seq - last < interval) return;
    const text = encodeState(state);
    const bytes = Bun.zstdCompressSync(text, { level: LEVEL });
    this.#kept.push({ seq: state.seq, bytes });
    this.#bytes += bytes.length;
    madeGarbage(text.length * OBJECTS_PER_TEXT);
    while (this.#bytes > this.#bytesMax && this.#kept.length > 1) this.#thin();
  }

  /** What is kept, compressed. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The last state kept at or before `seq`, to be folded on by the caller. */
  before(seq: number): FabricState {
    const found = this.#kept.findLast((checkpoint) => checkpoint.seq <= seq);
    if (found === undefined) return initialState(this.#fabric);
    const text = new TextDecoder().decode(Bun.zstdDecompressSync(found.bytes));
    madeGarbage(text.length * OBJECTS_PER_TEXT);
    return decodeState(text);
  }

  #thin(): void {
    this.#kept = this.#kept.filter((_, i) => i % 2 === 1);
    this.#bytes = this.#kept.reduce((sum, { bytes }) => sum + bytes.length, 0);
    this.#records *= 2;
  }
}
