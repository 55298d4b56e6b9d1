// Checks an export line by line against a public key, with nothing else at hand: every record is
// hashed again, every checkpoint must be signed by the key and have the root of what came before.
// It keeps the frontier of the tree and what came after the last checkpoint, however long the log.
//
// Invariant: a record counts as proven only under a checkpoint that is signed and fits.

import { sha256 } from "../agent/sha256.ts";
import { type ExportLine, parseLine, recordOf } from "../events/audit-export.ts";
import { type Checkpoint, fromBase64, originOf } from "../events/checkpoint.ts";
import { type CheckpointRecord, LEAVES_MAX, readCheckpoint } from "../events/checkpoint-record.ts";
import { Frontier, HASH_BYTES, leafHash, peakCount, sameHash } from "../events/merkle.ts";
import { signedBy, type VerifierKey } from "./audit-key.ts";

export interface Verified {
  readonly ok: true;
  readonly fabric: string;
  readonly from: number;
  readonly to: number;
  /** Last record under a checkpoint; those after it are not signed yet. */
  readonly signedTo: number;
  readonly checkpoints: number;
}

export interface Refuted {
  readonly ok: false;
  /** The first bad sequence; where `through` is greater, the first one is among these. */
  readonly seq: number;
  readonly through: number;
  readonly reason: string;
  /** Last record that was proven before. */
  readonly signedTo: number;
}

/** Thrown inside; `ExportVerifier` answers with it. */
class Refutation extends Error {
  readonly seq: number;
  readonly through: number;
  constructor(seq: number, through: number, reason: string) {
    super(reason);
    this.seq = seq;
    this.through = through;
  }
}

export class ExportVerifier {
  readonly #key: VerifierKey;
  /** A checkpoint that the auditor kept from earlier. */
  readonly #kept: Checkpoint | null;
  #lines = 0;
  #head: Extract<ExportLine, { kind: "heddle-audit" }> | null = null;
  #frontier = new Frontier(sha256);
  /** At the last checkpoint that fits, or before the first record. */
  #base = new Frontier(sha256);
  /** Leaf hashes after the base, as the records have them; null when they are too many. */
  #leaves: Uint8Array[] | null = [];
  /** Set when the kept checkpoint does not fit; the next signed one may tell where. */
  #doubt: Refutation | null = null;
  #checkpoints = 0;
  #ended = false;
  #refuted: Refuted | null = null;

  constructor(key: VerifierKey, kept: Checkpoint | null) {
    this.#key = key;
    this.#kept = kept;
  }

  /** The next line; null, or the refutation when there is nothing more to check. */
  line(text: string): Refuted | null {
    if (this.#refuted === null) this.#guarded(() => this.#take(text));
    return this.#refuted;
  }

  end(): Verified | Refuted {
    if (this.#refuted === null) this.#guarded(() => this.#finish());
    if (this.#refuted !== null) return this.#refuted;
    const [fabric, from] = [this.#head?.fabric ?? "", this.#head?.from ?? 1];
    const [to, signedTo] = [this.#frontier.size, this.#base.size];
    return { ok: true, fabric, from, to, signedTo, checkpoints: this.#checkpoints };
  }

  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof Refutation)) throw error;
      const { seq, through, message: reason } = error;
      this.#refuted = { ok: false, seq, through, reason, signedTo: this.#base.size };
    }
  }

  get #next(): number {
    return this.#frontier.size + 1;
  }

  /** The hashes before the first record are proven by the first checkpoint, not before. */
  get #firstUnproven(): number {
    const next = this.#base.size + 1;
    return next === this.#head?.from ? 1 : next;
  }

  #take(text: string): void {
    this.#lines++;
    const line = parseLine(text);
    if (line === null) throw this.#bad(`line ${this.#lines} is not a line of an export`);
    if (this.#ended) throw this.#bad(`line ${this.#lines} comes after the end`);
    if ((line.kind === "heddle-audit") !== (this.#head === null)) {
      throw this.#bad(`line ${this.#lines} is "${line.kind}", expected a head once, as the first`);
    }
    switch (line.kind) {
      case "heddle-audit":
        this.#begin(line);
        break;
      case "record":
        this.#record(line);
        break;
      case "checkpoint":
        this.#checkpoint(readCheckpoint(line));
        break;
      case "missing":
        throw this.#bad(`the log does not hold it (nor up to ${line.to})`);
      case "end":
        this.#ended = true;
        if (line.to !== this.#frontier.size) throw this.#bad(`missing; the end is ${line.to}`);
    }
  }

  #begin(line: Extract<ExportLine, { kind: "heddle-audit" }>): void {
    if (originOf(line.fabric) !== this.#key.name) {
      throw this.#bad(`an export of ${originOf(line.fabric)}, but a key of ${this.#key.name}`);
    }
    const peaks = line.peaks.map((text) => fromBase64(text));
    const size = line.from - 1;
    const good = peaks.filter((peak) => peak?.length === HASH_BYTES) as Uint8Array[];
    if (good.length !== peaks.length || good.length !== peakCount(size)) {
      throw this.#bad(`line 1: expected ${peakCount(size)} hashes of the records before it`);
    }
    this.#head = line;
    this.#frontier = new Frontier(sha256, size, good);
    this.#base = this.#frontier.copy();
    if (this.#kept !== null && this.#kept.size < line.from) {
      const size = this.#kept.size;
      throw this.#bad(`the export begins after the ${size} records of the kept checkpoint`);
    }
  }

  #record(line: Extract<ExportLine, { kind: "record" }>): void {
    if (line.seq !== this.#next) throw this.#bad(`missing; ${line.seq} is in its place`);
    const record = recordOf(line);
    if (record === null) throw this.#bad("its time or payload is not written as a record's");
    const leaf = leafHash(sha256, record);
    this.#frontier.push(leaf);
    if (this.#leaves?.length === LEAVES_MAX) this.#leaves = null;
    this.#leaves?.push(leaf);
    if (this.#kept?.size === line.seq) this.#compareKept(this.#kept);
  }

  #compareKept({ size, root }: Checkpoint): void {
    if (sameHash(root, this.#frontier.root())) {
      this.#settle();
      return;
    }
    const reason = `not as in the kept checkpoint of ${size} records`;
    this.#doubt = new Refutation(this.#firstUnproven, size, reason);
  }

  /** All records so far are proven. */
  #settle(): void {
    this.#base = this.#frontier.copy();
    this.#leaves = [];
  }

  #checkpoint(found: CheckpointRecord | null): void {
    if (found === null) throw this.#bad(`line ${this.#lines} is no checkpoint`);
    const { checkpoint, note } = found;
    const at = `the checkpoint of ${checkpoint.size} records`;
    const signed = signedBy(note, this.#key);
    if (signed === "invalid") throw this.#unproven(`${at} has a wrong signature`);
    if (signed === "absent") throw this.#unproven(`${at} is not signed by ${this.#key.text}`);
    if (checkpoint.origin !== this.#key.name) throw this.#unproven(`${at} is of another log`);
    if (checkpoint.size < this.#frontier.size) {
      throw this.#unproven(`${at} is out of place`);
    }
    const beyond = checkpoint.size > this.#frontier.size;
    if (beyond || !sameHash(checkpoint.root, this.#frontier.root())) this.#compare(found);
    this.#checkpoints++;
    this.#settle();
  }

  /** Against the leaf hashes that came with the checkpoint, once they are found to be its own. */
  #compare({ checkpoint, from, leaves }: CheckpointRecord): void {
    const base = this.#base.size;
    const signed = from > base + 1 ? [] : leaves.slice(base + 1 - from);
    const tree = this.#base.copy();
    for (const leaf of signed) tree.push(leaf);
    const at = `the checkpoint of ${checkpoint.size} records`;
    const last = Math.min(checkpoint.size, this.#frontier.size);
    const genuine = tree.size === checkpoint.size && sameHash(tree.root(), checkpoint.root);
    if (!genuine || this.#leaves === null) {
      throw new Refutation(this.#firstUnproven, last, `not as it was signed in ${at}`);
    }
    const bad = this.#leaves.findIndex((leaf, i) => !sameHash(leaf, signed[i] ?? leaf));
    if (bad < 0) return;
    const seq = base + 1 + bad;
    throw new Refutation(seq, seq, `not the record that was signed in ${at}`);
  }

  #finish(): void {
    if (!this.#ended) throw this.#bad("missing; the file ends before it");
    const { size } = this.#frontier;
    if (this.#kept !== null && this.#kept.size > size) {
      throw this.#bad(`missing; the kept checkpoint is of ${this.#kept.size} records`);
    }
    if (this.#doubt !== null) throw this.#doubt;
    if (this.#base.size < (this.#head?.from ?? 1) && size > 0) {
      throw this.#unproven("no checkpoint of this key covers it");
    }
  }

  /** At the place where the next record would be. */
  #bad(reason: string): Refutation {
    return new Refutation(this.#next, this.#next, reason);
  }

  /** The records may be good, but nothing says so from the base on. */
  #unproven(reason: string): Refutation {
    return new Refutation(this.#base.size + 1, this.#base.size + 1, reason);
  }
}
