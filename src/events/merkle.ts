// The hash tree of RFC 6962 section 2.1: what a leaf and a node are, and the frontier, which is all
// that must be kept of a tree to append to it and to know its root.
//
// Invariant: leaf `i` is the record of sequence `i + 1`, for ever; a hole in the log is no leaf and
// moves none, because a log with a hole is damaged and is not hashed beyond it.

import type { Recorded } from "./log.ts";
import { recordBytes } from "./record-bytes.ts";

export const HASH_BYTES = 32;

/** SHA-256: pure code is handed the implementation. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array;

/** Apart, so that no inner node can be passed off as a record (RFC 6962 section 2.1). */
const LEAF = [0];
const NODE = 1;

export function leafHash(sha256: Sha256, record: Recorded): Uint8Array {
  return sha256(recordBytes(record, LEAF));
}

export function nodeHash(sha256: Sha256, left: Uint8Array, right: Uint8Array): Uint8Array {
  const both = new Uint8Array(1 + 2 * HASH_BYTES);
  both[0] = NODE;
  both.set(left, 1);
  both.set(right, 1 + HASH_BYTES);
  return sha256(both);
}

/** The roots of the perfect subtrees that a tree of one size consists of, the largest first. */
export class Frontier {
  readonly #sha256: Sha256;
  readonly #peaks: Uint8Array[];
  #size: number;

  /** An empty one, or the one that `size` and `peaks` of another describe. */
  constructor(sha256: Sha256, size = 0, peaks: readonly Uint8Array[] = []) {
    if (peaks.length !== peakCount(size)) {
      throw new RangeError(
        `${peaks.length} hashes for ${size} leaves, expected ${peakCount(size)}`,
      );
    }
    this.#sha256 = sha256;
    this.#size = size;
    this.#peaks = [...peaks];
  }

  get size(): number {
    return this.#size;
  }

  get peaks(): readonly Uint8Array[] {
    return this.#peaks;
  }

  push(leaf: Uint8Array): void {
    let node = leaf;
    // Each trailing one of the size is a subtree that now has its sibling.
    for (let rest = this.#size; rest % 2 === 1; rest = (rest - 1) / 2) {
      const left = this.#peaks.pop();
      if (left === undefined) throw new RangeError("a frontier lost a subtree");
      node = nodeHash(this.#sha256, left, node);
    }
    this.#peaks.push(node);
    this.#size++;
  }

  root(): Uint8Array {
    let root = this.#peaks.at(-1);
    if (root === undefined) return this.#sha256(new Uint8Array(0));
    for (let i = this.#peaks.length - 2; i >= 0; i--) {
      root = nodeHash(this.#sha256, this.#peaks[i] ?? root, root);
    }
    return root;
  }

  copy(): Frontier {
    return new Frontier(this.#sha256, this.#size, this.#peaks);
  }
}

/** One subtree for each one of the binary size. */
export function peakCount(size: number): number {
  let ones = 0;
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) ones += rest % 2;
  return ones;
}

export function sameHash(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
