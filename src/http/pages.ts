// Pages of the log: records as lines of JSON, each with what became of it. Lines are made once for
// as long as their chunk is open.

import { decode } from "../events/codec.ts";
import type { EventType } from "../events/event.ts";
import { type Folded, fold } from "../events/fold.ts";
import type { Recorded } from "../events/log.ts";
import { isoTime } from "../events/point.ts";
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
      const end = Math.min(last, (index + 1) * CHUNK);
      const wanted: number[] = [];
      while (seq !== null && seq <= end && lines.length + wanted.length < limit) {
        wanted.push(seq);
        seq = find(seq + 1, last);
      }
      lines.push(...(await this.#lines(chunk, index, wanted)));
    }
    return { lines, next: seq };
  }

  /** Lines of records of one chunk, made now if nobody asked for them before. */
  async #lines(chunk: Chunk, index: number, wanted: readonly number[]): Promise<string[]> {
    const placeOf = (seq: number): number => seq - 1 - index * CHUNK;
    const unknown = wanted.filter((seq) => !chunk.lines.has(placeOf(seq)));
    const first = unknown[0] ?? 0;
    const last = unknown.at(-1) ?? -1;
    const verdicts = this.#history.journal.allAccepted(first, last)
      ? null
      : await this.#fold(first, last);
    return wanted.map((seq) => {
      const place = placeOf(seq);
      const known = chunk.lines.get(place);
      if (known !== undefined) return known;
      const record = chunk.records[place];
      if (record === undefined) throw new Error(`sequence ${seq} is not in chunk ${index}`);
      const folded = verdicts?.get(seq) ?? this.#acceptedOf(record);
      const line = lineOf(record, folded);
      chunk.lines.set(place, line);
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

/** JSON of data that many events share (events/codec-memo.ts), for as long as they share it. */
const dataText = new WeakMap<object, string>();

/** As JSON.stringify(eventDocument(…)), at a third of its time for what a log says most. */
function lineOf(record: Recorded, folded: Folded): string {
  const { event, verdict } = folded;
  if (event === null || verdict.kind !== "accepted") {
    return JSON.stringify(eventDocument(record, folded));
  }
  const { type, v, id, by, data } = event;
  let text = dataText.get(data);
  if (text === undefined) {
    text = JSON.stringify(data);
    if (Object.isFrozen(data)) dataText.set(data, text);
  }
  const subject = JSON.stringify(record.subject);
  const name = JSON.stringify(by?.token ?? null);
  const head = `{"seq":${record.seq},"time":"${isoTime(record.timeMs)}","subject":${subject}`;
  const envelope = `"type":"${type}","v":${v},"id":${JSON.stringify(id)},"by":${name}`;
  return `${head},${envelope},"data":${text},"verdict":{"kind":"accepted"}}`;
}
