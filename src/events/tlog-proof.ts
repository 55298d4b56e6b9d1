// One record with the proof that it is under a checkpoint, as C2SP tlog-proof: a text that can be
// checked by itself. The record's bytes, as they are hashed, are in its line "extra".

import { fromBase64 } from "./checkpoint.ts";
import { HASH_BYTES } from "./merkle.ts";

const MAGIC = "c2sp.org/tlog-proof@v1";

export interface TlogProof {
  readonly record: Uint8Array;
  readonly index: number;
  readonly path: readonly Uint8Array[];
  /** A signed note. */
  readonly checkpoint: string;
}

export function isTlogProof(text: string): boolean {
  return text.startsWith(`${MAGIC}\n`);
}

export function tlogProofText({ record, index, path, checkpoint }: TlogProof): string {
  const hashes = path.map((hash) => `${hash.toBase64()}\n`).join("");
  return `${MAGIC}\nextra ${record.toBase64()}\nindex ${index}\n${hashes}\n${checkpoint}`;
}

/** Null when `text` is no proof with a record. */
export function parseTlogProof(text: string): TlogProof | null {
  const gap = text.indexOf("\n\n");
  if (gap < 0) return null;
  const [magic, extra = "", place = "", ...hashes] = text.slice(0, gap).split("\n");
  const record = /^extra \S+$/.test(extra) ? fromBase64(extra.slice("extra ".length)) : null;
  const index = /^index (0|[1-9]\d{0,15})$/.test(place) ? Number(place.slice("index ".length)) : -1;
  if (magic !== MAGIC || record === null || !Number.isSafeInteger(index) || index < 0) return null;
  const path: Uint8Array[] = [];
  for (const written of hashes) {
    const hash = fromBase64(written);
    if (hash?.length !== HASH_BYTES) return null;
    path.push(hash);
  }
  return { record, index, path, checkpoint: text.slice(gap + 2) };
}
