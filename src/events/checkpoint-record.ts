// One message of the checkpoint stream: a signed checkpoint, and the leaf hashes of the records
// that it adds to the one before. The hashes need no trust, because the signed root is made of
// them; they are what lets an auditor say which record was changed, and not only that one was.

import { z } from "zod";
import {
  type Checkpoint,
  fromBase64,
  type Note,
  parseCheckpoint,
  parseNote,
} from "./checkpoint.ts";
import type { Recorded } from "./log.ts";
import { HASH_BYTES } from "./merkle.ts";

export interface CheckpointRecord {
  readonly checkpoint: Checkpoint;
  readonly note: Note;
  /** The note as it was stored. */
  readonly text: string;
  /** First sequence whose leaf hash is in `leaves`; the last is the checkpoint's size. */
  readonly from: number;
  readonly leaves: readonly Uint8Array[];
}

/** So that a message stays far below the server's limit of 1 MiB. */
export const LEAVES_MAX = 4096;

export const checkpointRecordSchema = z.object({
  checkpoint: z.string(),
  from: z.int().positive(),
  leaves: z.string(),
});

export function encodeCheckpoint(
  text: string,
  from: number,
  leaves: readonly Uint8Array[],
): Uint8Array {
  const message = { checkpoint: text, from, leaves: encodedLeaves(leaves) };
  return new TextEncoder().encode(JSON.stringify(message));
}

export function encodedLeaves(leaves: readonly Uint8Array[]): string {
  const joined = new Uint8Array(leaves.length * HASH_BYTES);
  for (const [i, leaf] of leaves.entries()) joined.set(leaf, i * HASH_BYTES);
  return joined.toBase64();
}

/** Null when it is no checkpoint of ours; says nothing about its signature. */
export function decodeCheckpoint(record: Recorded): CheckpointRecord | null {
  try {
    const written = new TextDecoder("utf-8", { fatal: true }).decode(record.payload);
    const parsed = checkpointRecordSchema.safeParse(JSON.parse(written));
    return parsed.success ? readCheckpoint(parsed.data) : null;
  } catch {
    return null; // The subject takes any bytes; others are the caller's to ignore.
  }
}

export function readCheckpoint(
  message: z.infer<typeof checkpointRecordSchema>,
): CheckpointRecord | null {
  const { checkpoint: text, from } = message;
  const note = parseNote(text);
  const checkpoint = note === null ? null : parseCheckpoint(note.text);
  const joined = fromBase64(message.leaves);
  if (note === null || checkpoint === null || joined === null) return null;
  if (joined.length !== (checkpoint.size - from + 1) * HASH_BYTES) return null;
  const leaves: Uint8Array[] = [];
  for (let at = 0; at < joined.length; at += HASH_BYTES) {
    leaves.push(joined.subarray(at, at + HASH_BYTES));
  }
  return { checkpoint, note, text, from, leaves };
}
