// A whole tree in memory, for roots and proofs at any size that it has had. Of the levels only the
// leaves and every eighth above are kept, in tiles of 256 hashes (the layout of C2SP tlog-tiles):
// 32.1 bytes per record instead of 64, and what lies between is hashed again when it is asked for,
// at most 255 hashes per tile.
//
// Invariant: an index is never above `size`; a perfect subtree never changes once it is complete.

import { HASH_BYTES, nodeHash, type Sha256 } from "./merkle.ts";

const TILE_LEVELS = 8;
const TILE_WIDTH = 2 ** TILE_LEVELS;

export class MerkleTree {
  readonly #sha256: Sha256;
  /** Tiles of level 0, 8, 16, … */
  readonly #levels: Uint8Array[][] = [];
  #size = 0;

  constructor(sha256: Sha256) {
    this.#sha256 = sha256;
  }

  get size(): number {
    return this.#size;
  }

  append(leaf: Uint8Array): void {
    this.#put(0, this.#size, leaf);
    this.#size++;
    let count = this.#size;
    for (let level = 1; count % TILE_WIDTH === 0; level++) {
      count /= TILE_WIDTH;
      this.#put(level, count - 1, this.#joined(level * TILE_LEVELS, count - 1));
    }
  }

  /** Hash of the leaf at `index`. */
  leaf(index: number): Uint8Array {
    if (index >= this.#size) throw new RangeError(`leaf ${index} of ${this.#size}`);
    return this.#perfect(0, index);
  }

  /** Hash of the first `size` leaves: MTH(D[0:size]). */
  root(size: number): Uint8Array {
    this.#refuseBeyond(size);
    return size === 0 ? this.#sha256(new Uint8Array(0)) : this.#range(0, size);
  }

  /** PATH(index, D[0:size]) of RFC 6962 section 2.1.1, from the leaf upwards. */
  inclusion(index: number, size: number): readonly Uint8Array[] {
    this.#refuseBeyond(size);
    if (index >= size) throw new RangeError(`leaf ${index} of ${size}`);
    const path: Uint8Array[] = [];
    let start = 0;
    let count = size;
    while (count > 1) {
      const left = splitOf(count);
      if (index < start + left) {
        path.push(this.#range(start + left, count - left));
        count = left;
      } else {
        path.push(this.#range(start, left));
        start += left;
        count -= left;
      }
    }
    return path.reverse();
  }

  /** PROOF(from, D[0:to]) of RFC 6962 section 2.1.2, for 0 < from <= to. */
  consistency(from: number, to: number): readonly Uint8Array[] {
    this.#refuseBeyond(to);
    if (from < 1 || from > to) throw new RangeError(`no tree of ${from} in one of ${to}`);
    const proof: Uint8Array[] = [];
    let start = 0;
    let count = to;
    let wanted = from;
    while (wanted < count) {
      const left = splitOf(count);
      if (wanted <= left) {
        proof.push(this.#range(start + left, count - left));
        count = left;
      } else {
        proof.push(this.#range(start, left));
        start += left;
        count -= left;
        wanted -= left;
      }
    }
    // The subtree where both end: the verifier has it as its old root if nothing is left of it.
    if (start > 0) proof.push(this.#range(start, count));
    return proof.reverse();
  }

  #refuseBeyond(size: number): void {
    if (size > this.#size) throw new RangeError(`a tree of ${size}, there are ${this.#size}`);
  }

  /** MTH(D[start : start + count]), where `start` is a multiple of a power of two >= `count`. */
  #range(start: number, count: number): Uint8Array {
    const left = splitOf(count);
    if (count === 2 * left || count === 1) return this.#perfect(Math.log2(count), start / count);
    return nodeHash(
      this.#sha256,
      this.#range(start, left),
      this.#range(start + left, count - left),
    );
  }

  /** Hash of the perfect subtree of 2 to the power of `level` leaves that is the `index`th. */
  #perfect(level: number, index: number): Uint8Array {
    return level % TILE_LEVELS === 0
      ? this.#kept(level / TILE_LEVELS, index)
      : this.#joined(level, index);
  }

  #joined(level: number, index: number): Uint8Array {
    const left = this.#perfect(level - 1, 2 * index);
    return nodeHash(this.#sha256, left, this.#perfect(level - 1, 2 * index + 1));
  }

  #kept(level: number, index: number): Uint8Array {
    const place = index % TILE_WIDTH;
    const tile = this.#levels[level]?.[(index - place) / TILE_WIDTH];
    if (tile === undefined) throw new RangeError(`no hash ${index} at level ${level}`);
    return tile.subarray(place * HASH_BYTES, (place + 1) * HASH_BYTES);
  }

  #put(level: number, index: number, hash: Uint8Array): void {
    const place = index % TILE_WIDTH;
    const tiles = this.#levels[level] ?? [];
    this.#levels[level] = tiles;
    if (place === 0) tiles.push(new Uint8Array(TILE_WIDTH * HASH_BYTES));
    tiles.at(-1)?.set(hash, place * HASH_BYTES);
  }
}

/** The largest power of two below `count`: where RFC 6962 splits. */
function splitOf(count: number): number {
  let left = 1;
  while (2 * left < count) left *= 2;
  return left;
}
