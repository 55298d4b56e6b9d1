// What one process has really been given of the log, kept outside the process: the chain over every
// record it read, the head it had to reach, and whether what it was told obliges it to freeze. The
// checkers judge the agent by this and not by what the agent says about itself.

import { type Chain, extend, fromHex, genesis, hex, recordHash } from "../../src/agent/chain.ts";
import type { LogInfo, Recorded } from "../../src/events/log.ts";
import type { Position } from "../../src/events/snapshot.ts";

export class Lineage {
  /** By sequence, from where the process started. */
  #chains = new Map<number, Chain>();
  readonly #applied: () => number | null;
  #startSeq = 0;
  /** Of the log that was read from last. */
  #created: string | null = null;
  #target: number | null = null;
  #head: LogInfo | null = null;
  #mustFreeze: string | null = null;

  /** `applied` tells the sequence that the process has folded, or null before it runs. */
  constructor(position: Position | null, applied: () => number | null) {
    this.#applied = applied;
    this.#chains.set(0, genesis);
    if (position === null) return;
    this.#startSeq = position.seq;
    this.#created = position.created;
    const { chain, tip } = position;
    this.#chains.set(position.seq, { hash: fromHex(chain), tip: fromHex(tip) });
  }

  get seq(): number {
    return this.#applied() ?? this.#startSeq;
  }

  /** Why the process must keep its hands off, as far as it can know, or null. */
  get mustFreeze(): string | null {
    return this.#mustFreeze;
  }

  /** It was given everything up to the head that it first saw. */
  get caughtUp(): boolean {
    return this.#target !== null && this.seq >= this.#target;
  }

  chainAt(seq: number): string | null {
    const chain = this.#chains.get(seq);
    return chain === undefined ? null : hex(chain.hash);
  }

  /** An operator accepted the log as it is. */
  forget(): void {
    this.#chains = new Map([[0, genesis]]);
    this.#created = null;
    this.#target = null;
    this.#head = null;
    this.#mustFreeze = null;
  }

  sawInfo(info: LogInfo): void {
    this.#head = info;
    // Who has applied nothing has nothing to lose: any log will do.
    if (this.seq === 0) this.#mustFreeze = null;
    else if (this.#created !== info.created) this.#mustFreeze = "recreated";
    else if (info.lastSeq < this.seq) this.#mustFreeze = "backwards";
  }

  sawRecord(seq: number, record: Recorded | null): void {
    const info = this.#head;
    const known = this.#chains.get(seq);
    if (known === undefined || info === null || info.lastSeq < this.seq) return;
    if (this.#created !== info.created) return;
    const same = record !== null && hex(recordHash(record)) === hex(known.tip);
    this.#mustFreeze = same ? null : "rewritten";
  }

  sawMissing(): void {
    if (this.seq > 0) this.#mustFreeze = "missing";
  }

  sawGap(): void {
    this.#mustFreeze = "gap";
  }

  startsReading(): void {
    const head = this.#head;
    if (head === null) throw new Error("it reads without having asked what there is");
    // Another log, or one that lost its end meanwhile, has another head to reach.
    const known = this.#created === head.created ? this.#target : null;
    this.#target = Math.min(known ?? head.lastSeq, head.lastSeq);
    this.#created = head.created;
  }

  received(record: Recorded): void {
    const before = this.#chains.get(record.seq - 1);
    if (before === undefined) throw new Error(`#${record.seq} follows nothing that was read`);
    this.#chains.set(record.seq, extend(before, record));
  }
}
