// A checkpoint says "the log of this fabric has this many records and their tree has this root", in
// the text of C2SP tlog-checkpoint, signed as a C2SP signed-note. Here are the texts; keys and
// signatures are the shell's.

import { HASH_BYTES } from "./merkle.ts";

export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
}

export interface NoteSignature {
  readonly name: string;
  /** The first 4 bytes say which key. */
  readonly keyHash: string;
  readonly signature: Uint8Array;
}

export interface Note {
  /** What is signed, with its last newline. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

/** A checkpoint is under 300 bytes; more signatures than fit here are no checkpoint of ours. */
const NOTE_CHARS_MAX = 4096;
const KEY_HASH_BYTES = 4;

/** Names the log, and is the name of the key that signs it. */
export function originOf(fabric: string): string {
  return `heddle/${fabric}`;
}

export function checkpointText({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${root.toBase64()}\n`;
}

/** Null when `text` is not exactly a checkpoint; lines after the third are not ours. */
export function parseCheckpoint(text: string): Checkpoint | null {
  const [origin = "", count = "", hash = "", end, ...more] = text.split("\n");
  const size = Number(count);
  const root = fromBase64(hash);
  if (end !== "" || more.length > 0 || origin === "") return null;
  if (!/^(0|[1-9]\d*)$/.test(count) || !Number.isSafeInteger(size)) return null;
  if (root?.length !== HASH_BYTES) return null;
  return { origin, size, root };
}

export function noteText(note: Note): string {
  const lines = note.signatures.map(({ name, keyHash, signature }) => {
    const bytes = new Uint8Array(KEY_HASH_BYTES + signature.length);
    bytes.set(Uint8Array.fromHex(keyHash));
    bytes.set(signature, KEY_HASH_BYTES);
    return `— ${name} ${bytes.toBase64()}\n`;
  });
  return `${note.text}\n${lines.join("")}`;
}

/** Null when `written` is not a signed note. */
export function parseNote(written: string): Note | null {
  if (written.length > NOTE_CHARS_MAX) return null;
  const gap = written.lastIndexOf("\n\n");
  if (gap < 0 || !written.endsWith("\n") || written.length === gap + 2) return null;
  const signatures: NoteSignature[] = [];
  for (const line of written.slice(gap + 2, -1).split("\n")) {
    const [, name = "", encoded = ""] = /^— ([^\s+]+) (\S+)$/.exec(line) ?? [];
    const bytes = fromBase64(encoded);
    if (bytes === null || bytes.length <= KEY_HASH_BYTES) return null;
    const keyHash = bytes.subarray(0, KEY_HASH_BYTES).toHex();
    signatures.push({ name, keyHash, signature: bytes.subarray(KEY_HASH_BYTES) });
  }
  return { text: written.slice(0, gap + 1), signatures };
}

/** Null unless `text` is the one way to write some bytes. */
export function fromBase64(text: string): Uint8Array | null {
  try {
    const bytes = Uint8Array.fromBase64(text, { lastChunkHandling: "strict" });
    return bytes.toBase64() === text ? bytes : null;
  } catch {
    return null; // The caller says what was expected.
  }
}
