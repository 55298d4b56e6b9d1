// Pages of the log: records as lines of JSON, each with what became of it. Lines are made once per
// chunk and kept with it.

import { decode } from "../events/codec.ts";
import type { EventType } from "../events/event.ts";
import { type Folded, fold } from "../events/fold.ts";
import type { Recorded } from "../events/log.ts";
import { accepted } from "../events/verdict.ts";
import { eventDocument } from "./event-view.ts";
import type { History } from "./history.ts";
import { CHUNK, chunkOf } from "./journal.ts";
import type { Chunk } from "./records.ts";

export interface PageQuery {
  readonly from: number;
  readonly last: number;
  /** Empty for all. */
  readonly types: readonly EventType[];
  readonly limit: number;
}

export interface Page {
  readonly lines: readonly string[];
  /** Where the next page begins, or null when there is nothing more up to `last`. */
  readonly next: number | null;
}

export class Pages {
  readonly #history: History;
  readonly #fabric: string;

  constructor(history: History, fabric: string) {
    this.#history = history;
    this.#fabric = fabric;
  }

  /** Throws LogError. */
  async page({ from, last, types, limit }: PageQuery): Promise<Page> {
    const { journal, records } = this.#history;
    const lines: string[] = [];
    const find = journal.finder(types);
    let seq = find(from, last);
    while (seq !== null && lines.length < limit) {
      const index = chunkOf(seq);
      const chunk = await records.chunk(index);
      await this.#write(chunk, index);
      const end = Math.min(last, (index + 1) * CHUNK);
      while (seq !== null && seq <= end && lines.length < limit) {
        lines.push(chunk.lines[seq - 1 - index * CHUNK] ?? "null");
        seq = find(seq + 1, last);
      }
    }
    return { lines, next: seq };
  }

  /** Completes the lines of a chunk. */
  async #write(chunk: Chunk, index: number): Promise<void> {
    const base = index * CHUNK;
    const from = base + chunk.lines.length + 1;
    const last = base + chunk.records.length;
    if (last < from) return;
    const verdicts = this.#history.journal.allAccepted(from, last)
      ? null
      : await this.#fold(from, last);
    // Somebody else may have written on while the fold was under way.
    for (let i = chunk.lines.length; i < last - base; i++) {
      const record = chunk.records[i];
      if (record === undefined) return;
      const folded = verdicts?.get(record.seq) ?? this.#acceptedOf(record);
      chunk.lines.push(JSON.stringify(eventDocument(record, folded)));
    }
  }

  #acceptedOf(record: Recorded): Folded {
    const decoded = decode(this.#fabric, record);
    return { event: decoded.ok ? decoded.event : null, verdict: accepted };
  }

  /** Why a record did not count is the fold's to say. */
  async #fold(from: number, last: number): Promise<ReadonlyMap<number, Folded>> {
    const found = new Map<number, Folded>();
    const state = this.#history.before(from);
    for await (const batch of this.#history.records.range(state.seq + 1, last)) {
      for (const record of batch) {
        const folded = fold(state, record);
        if (record.seq >= from) found.set(record.seq, folded);
      }
    }
    return found;
  }
}
