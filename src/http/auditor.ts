// Keeps the tree over the log and watches the checkpoints that were signed of it; with a key it
// signs them. The tree is made of what the follower reads, and so of the log alone, at every start;
// any number of servers make the same one, and two that sign the same size sign the same root.
//
// Invariant: nothing is signed before the newest signed checkpoint was found to be of this very
// log, nor while the log is damaged; a checkpoint once contradicted ends signing in this process.

import type { Logger } from "../agent/logger.ts";
import { sha256 } from "../agent/sha256.ts";
import { createWaker, type Waker } from "../agent/waker.ts";
import { checkpointText, originOf } from "../events/checkpoint.ts";
import {
  type CheckpointRecord,
  decodeCheckpoint,
  encodeCheckpoint,
  LEAVES_MAX,
} from "../events/checkpoint-record.ts";
import { newestCheckpoint } from "../events/checkpoint-stream.ts";
import { type Clock, sleep } from "../events/clock.ts";
import { type EventLog, LogError, type Recorded } from "../events/log.ts";
import { leafHash, sameHash } from "../events/merkle.ts";
import { MerkleTree } from "../events/merkle-tree.ts";
import { checkpointSubject } from "../events/name.ts";
import { type SignerKey, signedBy } from "./audit-key.ts";
import type { Follower } from "./follower.ts";

export interface AuditorDeps {
  readonly fabric: string;
  readonly follower: Pick<Follower, "onFolded" | "view">;
  readonly checkpoints: EventLog;
  /** Makes the stream of checkpoints, if there is none. Throws LogError. */
  readonly createCheckpoints: () => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Null: others sign. */
  readonly key: SignerKey | null;
}

export interface AuditView {
  /** Records in the tree. */
  readonly size: number;
  /** Records under the newest checkpoint that fits. */
  readonly signed: number;
  /** Why checkpoints are not signed or not known; null when all is well. */
  readonly trouble: string | null;
}

export interface Auditor {
  view(): AuditView;
  /** The newest checkpoint that fits the log as this server reads it; null when there is none. */
  newest(): CheckpointRecord | null;
  /** Proofs and roots at any size up to `view().size`. */
  readonly tree: Pick<MerkleTree, "root" | "inclusion" | "consistency">;
  run(signal: AbortSignal): Promise<void>;
}

/** Between two checkpoints, while records arrive. */
const CADENCE_MS = 100;
const RETRY_MS = 1000;

export function createAuditor(deps: AuditorDeps): Auditor {
  return new LogAuditor(deps);
}

class LogAuditor implements Auditor {
  readonly tree = new MerkleTree(sha256);
  readonly #deps: AuditorDeps;
  readonly #origin: string;
  readonly #waker: Waker;
  #newest: CheckpointRecord | null = null;
  /** One that is of more records than have been read. */
  #ahead: CheckpointRecord | null = null;
  /** Last sequence of the checkpoint stream that was seen; null until its end was seen once. */
  #seen: number | null = null;
  #contradiction: string | null = null;
  #trouble: string | null = null;

  constructor(deps: AuditorDeps) {
    this.#deps = deps;
    this.#origin = originOf(deps.fabric);
    this.#waker = createWaker(deps.clock);
    deps.follower.onFolded((record) => this.#grow(record));
  }

  view(): AuditView {
    const trouble = this.#contradiction ?? this.#trouble;
    return { size: this.tree.size, signed: this.#newest?.checkpoint.size ?? 0, trouble };
  }

  newest(): CheckpointRecord | null {
    return this.#newest;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { key } = this.#deps;
    const signing = key === null ? Promise.resolve() : this.#sign(key, signal);
    await Promise.all([this.#watch(signal), signing]);
  }

  #grow(record: Recorded): void {
    if (record.seq !== this.tree.size + 1) {
      throw new LogError("gap", `after ${this.tree.size} came ${record.seq}`);
    }
    this.tree.append(leafHash(sha256, record));
    if (this.#ahead?.checkpoint.size === record.seq) this.#compare(this.#ahead);
    this.#waker.wake();
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { checkpoints, clock, createCheckpoints, key } = this.#deps;
    while (!signal.aborted) {
      try {
        if (key !== null) await createCheckpoints();
        this.#seen ??= await this.#lookBack();
        this.#say(null);
        this.#waker.wake();
        for await (const batch of checkpoints.read(this.#seen + 1, signal)) {
          for (const record of batch) this.#take(record);
          this.#waker.wake();
        }
      } catch (error) {
        this.#note(error);
        await sleep(clock, RETRY_MS, signal);
      }
    }
  }

  /** Takes the newest good checkpoint of the stream; answers with the stream's last sequence. */
  async #lookBack(): Promise<number> {
    const { checkpoints } = this.#deps;
    const { lastSeq } = await checkpoints.info();
    const found = await newestCheckpoint(checkpoints, lastSeq, (each) => this.#isBelieved(each));
    if (found !== null) this.#compare(found);
    return lastSeq;
  }

  #take(record: Recorded): void {
    this.#seen = Math.max(this.#seen ?? 0, record.seq);
    const found = decodeCheckpoint(record);
    if (found !== null && this.#isBelieved(found)) this.#compare(found);
    else this.#deps.logger.warn("not a checkpoint of this key", { seq: record.seq });
  }

  /** Without a key nobody is believed more than another: what fits the log is true all the same. */
  #isBelieved({ checkpoint, note }: CheckpointRecord): boolean {
    const { key } = this.#deps;
    if (checkpoint.origin !== this.#origin) return false;
    return key === null || signedBy(note, key) === "valid";
  }

  #compare(found: CheckpointRecord): void {
    const { size, root } = found.checkpoint;
    if (size > this.tree.size) {
      if (size > (this.#ahead?.checkpoint.size ?? 0)) this.#ahead = found;
      return;
    }
    if (this.#ahead === found) this.#ahead = null;
    if (sameHash(root, this.tree.root(size))) {
      if (size > (this.#newest?.checkpoint.size ?? 0)) this.#newest = found;
    } else this.#contradict(found);
  }

  #contradict({ checkpoint, from, leaves }: CheckpointRecord): void {
    const { key, logger } = this.#deps;
    const at = leaves.findIndex((leaf, i) => !sameHash(leaf, this.tree.leaf(from - 1 + i)));
    const where = at < 0 ? `one of the first ${checkpoint.size} records` : `sequence ${from + at}`;
    const signed = `signed in the checkpoint of ${checkpoint.size}`;
    const reason = `${where} is not the record that was ${signed}`;
    // Without a key it may be anybody's lie.
    if (key !== null) this.#contradiction ??= reason;
    logger.error("the log contradicts a checkpoint", { reason });
  }

  async #sign(key: SignerKey, signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    while (!signal.aborted) {
      await this.#waker.wait(null, signal);
      const pauseMs = await this.#signNext(key);
      if (pauseMs === null) continue;
      await sleep(clock, pauseMs, signal);
      this.#waker.wake();
    }
  }

  /** How long to wait before the next; null when there is nothing to sign. */
  async #signNext(key: SignerKey): Promise<number | null> {
    const { fabric, checkpoints, follower } = this.#deps;
    const from = (this.#newest?.checkpoint.size ?? 0) + 1;
    const size = Math.min(this.tree.size, from - 1 + LEAVES_MAX);
    if (this.#seen === null || size < from || this.#ahead !== null) return null;
    if (this.#contradiction !== null || follower.view().damage !== null) return null;
    const root = this.tree.root(size);
    const text = key.sign(checkpointText({ origin: this.#origin, size, root }));
    const leaves = Array.from({ length: size - from + 1 }, (_, i) => this.tree.leaf(from - 1 + i));
    const payload = encodeCheckpoint(text, from, leaves);
    const subject = checkpointSubject(fabric);
    const message = { subject, payload, id: `${size} ${root.toHex()}` };
    try {
      const stored = await checkpoints.append({ ...message, expectLastSubjectSeq: this.#seen });
      // A conflict: another server signed first, and the watch will bring it.
      if (stored.ok) this.#take({ ...message, seq: stored.seq, timeMs: 0 });
      this.#say(null);
      return stored.ok && size < this.tree.size && leaves.length === LEAVES_MAX ? 0 : CADENCE_MS;
    } catch (error) {
      this.#note(error);
      return RETRY_MS;
    }
  }

  #note(error: unknown): void {
    if (!(error instanceof LogError)) throw error;
    const { key } = this.#deps;
    // Nobody has signed yet, and this server is not to.
    if (key === null && error.kind === "missing") this.#say(null);
    else this.#say(error.message);
  }

  #say(trouble: string | null): void {
    if (trouble === this.#trouble) return;
    this.#trouble = trouble;
    if (trouble !== null) this.#deps.logger.warn("checkpoints", { reason: trouble });
  }
}
