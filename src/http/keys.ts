// Idempotency keys: what was written under which, for longer than the server recognises repeated
// ids (two minutes). A key becomes the id of the event, so the log itself is the memory and every
// server knows it; this is the index, bounded in time and number.

import type { Folded } from "../events/fold.ts";
import type { Verdict } from "../events/verdict.ts";

export interface KeyedWrite {
  readonly seq: number;
  readonly timeMs: number;
  /** Fingerprint of the request. */
  readonly request: string;
  readonly verdict: Verdict;
}

const PREFIX = "key-";
const KEPT_MS = 7 * 24 * 3_600_000;
const KEPT_MAX = 100_000;
const ID_CHARS = 40;
const FINGERPRINT_CHARS = 32;

/**
 * The id of an event written with `key`: the same from every server, and another for each token.
 */
export function idOf(token: string, key: string): string {
  return PREFIX + digest(`${token}\n${key}`, ID_CHARS);
}

export function fingerprint(command: object): string {
  return digest(JSON.stringify(command), FINGERPRINT_CHARS);
}

export class Keys {
  /** In the log's order. */
  readonly #writes = new Map<string, KeyedWrite>();

  /** To be called for each record; `timeMs` is the fold's. */
  note(seq: number, timeMs: number, { event, verdict }: Folded): void {
    const request = event?.by?.request;
    if (event === null || request === undefined || !event.id.startsWith(PREFIX)) return;
    if (this.#writes.has(event.id)) return;
    this.#writes.set(event.id, { seq, timeMs, request, verdict });
    for (const [id, oldest] of this.#writes) {
      const isOld = timeMs - oldest.timeMs > KEPT_MS;
      if (!isOld && this.#writes.size <= KEPT_MAX) break;
      this.#writes.delete(id);
    }
  }

  find(id: string): KeyedWrite | null {
    return this.#writes.get(id) ?? null;
  }
}

function digest(text: string, chars: number): string {
  return Buffer.from(Bun.SHA256.hash(text) as unknown as Uint8Array)
    .toString("hex")
    .slice(0, chars);
}
