// Pages of the log: records as lines of JSON, each with what became of it. A line that has to be
// decoded or judged for is made once for as long as its chunk is open.

import { decode } from "../events/codec.ts";
import type { EventType } from "../events/event.ts";
import { type Folded, fold } from "../events/fold.ts";
import type { Recorded } from "../events/log.ts";
import { accepted } from "../events/verdict.ts";
import type { Chunk } from "./chunk.ts";
import { eventDocument } from "./event-view.ts";
import type { History } from "./history.ts";
import { chunkOf, type Order } from "./journal.ts";

export interface PageQuery {
  readonly from: number;
  readonly last: number;
  /** Empty for all. */
  readonly types: readonly EventType[];
  readonly limit: number;
  readonly order: Order;
}

export interface Page {
  /** In the order asked for. */
  readonly lines: readonly string[];
  /** Where the next page begins, or null when there is nothing more. */
  readonly next: number | null;
}

/** What is left of a query after a page. */
export function restOf<Q extends Pick<PageQuery, "from" | "last" | "order">>(
  query: Q,
  next: number,
): Q {
  return query.order === "asc" ? { ...query, from: next } : { ...query, last: next };
}

export class Pages {
  readonly #history: History;
  readonly #fabric: string;

  constructor(history: History, fabric: string) {
    this.#history = history;
    this.#fabric = fabric;
  }

  /** Throws LogError. */
  async page({ from, last, types, limit, order }: PageQuery): Promise<Page> {
    const { journal, records } = this.#history;
    const lines: string[] = [];
    const find = journal.finder(types, order);
    const [begin, end, step] = order === "asc" ? [from, last, 1] : [last, from, -1];
    let seq = find(begin, end);
    while (seq !== null && lines.length < limit) {
      const index = chunkOf(seq);
      const wanted: number[] = [];
      while (seq !== null && chunkOf(seq) === index && lines.length + wanted.length < limit) {
        wanted.push(seq);
        seq = find(seq + step, end);
      }
      lines.push(...(await this.#lines(await records.chunk(index), wanted)));
    }
    return { lines, next: seq };
  }

  async #lines(chunk: Chunk, wanted: readonly number[]): Promise<string[]> {
    const { journal } = this.#history;
    const isKnown = (seq: number): boolean => chunk.lines.has(seq);
    const refused = wanted
      .filter((seq) => journal.standing(seq) === "refused" && !isKnown(seq))
      .sort((a, b) => a - b);
    const judged = await this.#fold(refused[0] ?? 0, refused.at(-1) ?? -1);
    return wanted.map((seq) => {
      const type = journal.type(seq);
      if (type !== null && journal.standing(seq) === "plain") return chunk.plainLine(seq, type);
      const known = chunk.lines.get(seq);
      if (known !== undefined) return known;
      const record = chunk.at(seq);
      const folded = judged.get(seq) ?? this.#acceptedOf(record);
      const line = JSON.stringify(eventDocument(record, folded));
      chunk.lines.set(seq, line);
      return line;
    });
  }

  #acceptedOf(record: Recorded): Folded {
    const decoded = decode(this.#fabric, record);
    return { event: decoded.ok ? decoded.event : null, verdict: accepted };
  }

  /** Why a record did not count is the fold's to say. */
  async #fold(from: number, last: number): Promise<ReadonlyMap<number, Folded>> {
    const found = new Map<number, Folded>();
    if (last < from) return found;
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
