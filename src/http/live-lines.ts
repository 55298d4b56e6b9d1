// The newest events as lines of JSON, written once and read by every client that follows the log.
// A client that falls behind what is kept reads pages of the log instead, so a slow one costs
// nothing but its place.

import type { EventType } from "../events/event.ts";
import { eventDocument } from "./event-view.ts";
import type { Follower } from "./follower.ts";

const KEPT_MAX = 2000;
const KEPT_CHARS_MAX = 4 << 20;

export interface LiveLine {
  readonly seq: number;
  readonly type: EventType | null;
  readonly text: string;
}

export class LiveLines {
  /** Contiguous, oldest first. */
  #lines: LiveLine[] = [];
  #chars = 0;
  readonly #listeners = new Set<() => void>();

  constructor(follower: Follower) {
    follower.onFolded((record, folded) => {
      const text = JSON.stringify(eventDocument(record, folded));
      this.#keep({ seq: record.seq, type: folded.event?.type ?? null, text });
    });
  }

  /** Lines from `seq` on, or null when some of them are not kept any more. */
  from(seq: number): readonly LiveLine[] | null {
    const first = this.#lines[0]?.seq;
    if (first === undefined || seq < first) return null;
    return this.#lines.slice(seq - first);
  }

  /** Calls `listener` after each new line; the returned function ends that. */
  onNewer(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #keep(line: LiveLine): void {
    // After a log was given up for another one, sequences begin anew.
    if (line.seq !== (this.#lines.at(-1)?.seq ?? line.seq - 1) + 1) this.#forget();
    this.#lines.push(line);
    this.#chars += line.text.length;
    if (this.#lines.length > 2 * KEPT_MAX || this.#chars > KEPT_CHARS_MAX) this.#shorten();
    for (const listener of this.#listeners) listener();
  }

  #shorten(): void {
    this.#lines = this.#lines.slice(-Math.min(KEPT_MAX, Math.ceil(this.#lines.length / 2)));
    this.#chars = this.#lines.reduce((sum, { text }) => sum + text.length, 0);
  }

  #forget(): void {
    this.#lines = [];
    this.#chars = 0;
  }
}
