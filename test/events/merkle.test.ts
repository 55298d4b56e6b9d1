import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import type { Recorded } from "../../src/events/log.ts";
import { Frontier, leafHash, nodeHash, peakCount } from "../../src/events/merkle.ts";
import { isConsistent, isIncluded } from "../../src/events/merkle-proof.ts";
import { MerkleTree } from "../../src/events/merkle-tree.ts";

const sha256 = (bytes: Uint8Array): Uint8Array => createHash("sha256").update(bytes).digest();
const hex = (bytes: Uint8Array): string => bytes.toHex();
const unhex = (text: string): Uint8Array => Uint8Array.fromHex(text);

/** The inputs of certificate-transparency's reference tests, and the roots after each. */
const INPUTS = [
  "",
  "00",
  "10",
  "2021",
  "3031",
  "40414243",
  "5051525354555657",
  "606162636465666768696a6b6c6d6e6f",
];
const ROOTS = [
  "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
  "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
  "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
  "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
  "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
  "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
  "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
  "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

/** RFC 6962 section 2.1 as it is written there. */
function mth(data: readonly Uint8Array[]): Uint8Array {
  const [only] = data;
  if (only === undefined) return sha256(new Uint8Array(0));
  if (data.length === 1) return sha256(Uint8Array.of(0, ...only));
  const k = splitOf(data.length);
  return sha256(Uint8Array.of(1, ...mth(data.slice(0, k)), ...mth(data.slice(k))));
}

function path(m: number, data: readonly Uint8Array[]): Uint8Array[] {
  if (data.length === 1) return [];
  const k = splitOf(data.length);
  return m < k
    ? [...path(m, data.slice(0, k)), mth(data.slice(k))]
    : [...path(m - k, data.slice(k)), mth(data.slice(0, k))];
}

function subproof(m: number, data: readonly Uint8Array[], known: boolean): Uint8Array[] {
  const n = data.length;
  if (m === n) return known ? [] : [mth(data)];
  const k = splitOf(n);
  return m <= k
    ? [...subproof(m, data.slice(0, k), known), mth(data.slice(k))]
    : [...subproof(m - k, data.slice(k), false), mth(data.slice(0, k))];
}

function splitOf(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

function leafOf(data: Uint8Array): Uint8Array {
  return sha256(Uint8Array.of(0, ...data));
}

function treeOf(data: readonly Uint8Array[]): MerkleTree {
  const tree = new MerkleTree(sha256);
  for (const each of data) tree.append(leafOf(each));
  return tree;
}

const numbered = (count: number): Uint8Array[] =>
  Array.from({ length: count }, (_, i) => Uint8Array.of(i >> 16, i >> 8, i));
const hexes = (hashes: readonly Uint8Array[]): readonly string[] => hashes.map(hex);

describe("the reference vectors of certificate-transparency", () => {
  const data = INPUTS.map(unhex);
  const tree = treeOf(data);

  test("roots", () => {
    expect(hex(tree.root(0))).toBe(
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    );
    expect(ROOTS.map((_, i) => hex(tree.root(i + 1)))).toEqual(ROOTS);
  });

  test("audit paths", () => {
    expect(hexes(tree.inclusion(0, 1))).toEqual([]);
    expect(hexes(tree.inclusion(0, 8))).toEqual([
      "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]);
    expect(hexes(tree.inclusion(5, 8))).toEqual([
      "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
      "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]);
  });

  test("consistency proofs", () => {
    expect(hexes(tree.consistency(1, 1))).toEqual([]);
    expect(hexes(tree.consistency(6, 8))).toEqual([
      "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
      "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]);
    expect(hexes(tree.consistency(2, 5))).toEqual([
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ]);
  });
});

test("a leaf is SHA-256 over zero, sequence, milliseconds, subject, newline and payload", () => {
  const record: Recorded = {
    seq: 7,
    timeMs: 1_893_456_000_000,
    subject: "heddle.t.node.h1.member",
    payload: new TextEncoder().encode('{"type":"NodeLeft"}'),
  };
  const text = '\u00007 1893456000000 heddle.t.node.h1.member\n{"type":"NodeLeft"}';
  expect(hex(leafHash(sha256, record))).toBe(hex(sha256(new TextEncoder().encode(text))));
});

/** As much of jq as the guide uses; not every machine has it. */
const JQ = `jq() {
  "$BUN" -e 'console.log(JSON.parse(await Bun.stdin.text())[process.argv.at(-1).slice(1)])' \\
    "\${@: -1}"
}`;

test("a leaf can be made from the server's answer with jq, date, base64 and sha256sum", () => {
  // What `nats stream get --json` and the API's STREAM.MSG.GET answer with.
  const payload = new TextEncoder().encode('{"type":"NodeLeft"}');
  const answer = {
    ...{ subject: "heddle.t.node.h1.member", seq: 7, data: payload.toBase64() },
    time: "2030-01-01T00:00:00.123999999Z",
  };
  const guide = readFileSync(new URL("../../docs/audit.md", import.meta.url), "utf8");
  const script = /```sh\n(m=[\s\S]*?)```/.exec(guide)?.[1] ?? "false";
  const shell = `${JQ}\n${script.replace(/^m=.*$/m, "m=$ANSWER")}`;
  const env = { ...process.env, BUN: process.execPath, ANSWER: JSON.stringify(answer) };
  const ran = Bun.spawnSync(["bash", "-c", shell], { env });
  const timeMs = Date.UTC(2030, 0, 1) + 123;
  const record: Recorded = { seq: 7, timeMs, subject: answer.subject, payload };
  expect(ran.stdout.toString().slice(0, 64)).toBe(hex(leafHash(sha256, record)));
});

test("tree and frontier have the root that RFC 6962 defines, at every size up to 600", () => {
  const data = numbered(600);
  const tree = treeOf(data);
  const frontier = new Frontier(sha256);
  expect(hex(frontier.root())).toBe(hex(mth([])));
  for (let size = 1; size <= data.length; size++) {
    frontier.push(leafOf(data[size - 1] ?? new Uint8Array(0)));
    const root = hex(mth(data.slice(0, size)));
    expect([hex(tree.root(size)), hex(frontier.root())]).toEqual([root, root]);
    expect(frontier.peaks.length).toBe(peakCount(size));
  }
});

test("a frontier that was written down goes on as if it had not been", () => {
  const frontier = new Frontier(sha256);
  for (const each of numbered(300)) {
    const read = new Frontier(sha256, frontier.size, frontier.peaks);
    const copy = frontier.copy();
    for (const one of [frontier, read, copy]) one.push(leafOf(each));
    expect([hex(read.root()), hex(copy.root())]).toEqual([
      hex(frontier.root()),
      hex(frontier.root()),
    ]);
  }
  expect(() => new Frontier(sha256, 5, frontier.peaks)).toThrow("expected 2");
});

test("every inclusion proof up to 80 leaves is PATH of the RFC, and is accepted", () => {
  const data = numbered(80);
  const tree = treeOf(data);
  for (let size = 1; size <= data.length; size++) {
    for (let index = 0; index < size; index++) {
      const proof = tree.inclusion(index, size);
      expect(hexes(proof)).toEqual(hexes(path(index, data.slice(0, size))));
      const leaf = leafOf(data[index] ?? new Uint8Array(0));
      const claim = { leaf, index, size, root: tree.root(size), path: proof };
      expect(isIncluded(sha256, claim)).toBe(true);
    }
  }
});

test("every consistency proof up to 80 leaves is PROOF of the RFC, and is accepted", () => {
  const data = numbered(80);
  const tree = treeOf(data);
  for (let to = 1; to <= data.length; to++) {
    for (let from = 1; from <= to; from++) {
      const proof = tree.consistency(from, to);
      expect(hexes(proof)).toEqual(hexes(subproof(from, data.slice(0, to), true)));
      const claim = { from, fromRoot: tree.root(from), to, toRoot: tree.root(to), proof };
      expect(isConsistent(sha256, claim)).toBe(true);
    }
  }
});

/** Beyond two tiles, so that hashes are taken from every kept level. */
const large = numbered(70_000);
const largeTree = treeOf(large);

test("proofs from the tiles of a large tree are accepted, and only for what they say", () => {
  const sizes = fc.integer({ min: 2, max: large.length });
  fc.assert(
    fc.property(sizes, fc.nat(), fc.nat(), (size, at, flip) => {
      const index = at % size;
      const leaf = leafOf(large[index] ?? new Uint8Array(0));
      const claim = {
        leaf,
        index,
        size,
        root: largeTree.root(size),
        path: largeTree.inclusion(index, size),
      };
      expect(isIncluded(sha256, claim)).toBe(true);
      expect(isIncluded(sha256, { ...claim, leaf: damaged(leaf, flip) })).toBe(false);
      expect(isIncluded(sha256, { ...claim, root: damaged(claim.root, flip) })).toBe(false);
      expect(isIncluded(sha256, { ...claim, size: 4 * size })).toBe(false);
      expect(isIncluded(sha256, { ...claim, path: claim.path.slice(1) })).toBe(false);
      expect(isIncluded(sha256, { ...claim, path: [...claim.path, leaf] })).toBe(false);
      const moved = isIncluded(sha256, { ...claim, index: (index + 1) % size });
      expect(moved).toBe(false);
    }),
    { numRuns: 200 },
  );
});

test("a consistency proof holds for its two trees and for no others", () => {
  const sizes = fc.integer({ min: 1, max: large.length });
  fc.assert(
    fc.property(sizes, sizes, fc.nat(), (a, b, flip) => {
      const [from, to] = a < b ? [a, b] : [b, a];
      const claim = {
        from,
        fromRoot: largeTree.root(from),
        to,
        toRoot: largeTree.root(to),
        proof: largeTree.consistency(from, to),
      };
      expect(isConsistent(sha256, claim)).toBe(true);
      expect(isConsistent(sha256, { ...claim, toRoot: damaged(claim.toRoot, flip) })).toBe(false);
      const other = damaged(claim.fromRoot, flip);
      expect(isConsistent(sha256, { ...claim, fromRoot: other })).toBe(false);
      expect(isConsistent(sha256, { ...claim, proof: [...claim.proof, other] })).toBe(false);
      expect(isConsistent(sha256, { ...claim, proof: claim.proof.slice(1) })).toBe(
        claim.proof.length === 0,
      );
    }),
    { numRuns: 200 },
  );
});

test("nonsense is refused, not answered", () => {
  const tree = treeOf(numbered(3));
  expect(() => tree.root(4)).toThrow(RangeError);
  expect(() => tree.inclusion(3, 3)).toThrow(RangeError);
  expect(() => tree.consistency(0, 3)).toThrow(RangeError);
  expect(() => tree.leaf(3)).toThrow(RangeError);
  const root = tree.root(3);
  expect(isConsistent(sha256, { from: 0, fromRoot: root, to: 3, toRoot: root, proof: [] })).toBe(
    false,
  );
  expect(isIncluded(sha256, { leaf: root, index: 3, size: 3, root, path: [] })).toBe(false);
  expect(hex(nodeHash(sha256, tree.leaf(0), tree.leaf(1)))).toBe(hex(tree.root(2)));
});

function damaged(hash: Uint8Array, at: number): Uint8Array {
  return hash.map((byte, i) => (i === at % hash.length ? byte ^ 1 : byte));
}
