// The keys that sign checkpoints: Ed25519 in the text forms of Go's note package and C2SP
// signed-note, so that the tools of transparency logs read them.
//
//   verifier  NAME+HASH+base64(1 || public key)
//   signer    PRIVATE+KEY+NAME+HASH+base64(1 || seed)

import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { open } from "node:fs/promises";
import { sha256 } from "../agent/sha256.ts";
import { fromBase64, type Note, noteText } from "../events/checkpoint.ts";
import { readSecretFile } from "./secret-file.ts";

export interface VerifierKey {
  readonly name: string;
  /** 8 hexadecimal digits, as in a signature line. */
  readonly keyHash: string;
  readonly text: string;
  readonly key: KeyObject;
}

export interface SignerKey extends VerifierKey {
  /** The text with its signature line. */
  sign(text: string): string;
}

export type KeyFile =
  | { readonly ok: true; readonly key: SignerKey }
  | { readonly ok: false; readonly reason: string };

const ED25519 = 1;
const KEY_BYTES = 32;
/** DER around a raw Ed25519 key (RFC 8410): the runtime takes no raw ones. */
const SEED_PREFIX = Uint8Array.fromHex("302e020100300506032b657004220420");
const PUBLIC_PREFIX = Uint8Array.fromHex("302a300506032b6570032100");

/** A new key under `name`, as it is written to a file. */
export function newSigner(name: string): { readonly text: string; readonly key: SignerKey } {
  const { privateKey } = generateKeyPairSync("ed25519");
  const der = privateKey.export({ format: "der", type: "pkcs8" });
  const seed = Uint8Array.from(der.subarray(SEED_PREFIX.length));
  const key = signerOf(name, seed);
  const text = `PRIVATE+KEY+${name}+${key.keyHash}+${tagged(seed).toBase64()}\n`;
  return { text, key };
}

/** Null unless `text` is a signer key. */
export function parseSigner(text: string): SignerKey | null {
  const rest = /^PRIVATE\+KEY\+(.+)\n?$/.exec(text)?.[1];
  const parts = rest === undefined ? null : partsOf(rest);
  if (parts === null) return null;
  const key = signerOf(parts.name, parts.bytes);
  return key.keyHash === parts.keyHash ? key : null;
}

/** Null unless `text` is a verifier key. */
export function parseVerifier(text: string): VerifierKey | null {
  const parts = partsOf(text.trim());
  if (parts === null) return null;
  const key = verifierOf(parts.name, parts.bytes);
  return key.keyHash === parts.keyHash ? key : null;
}

/** Creates the file, readable by its owner only; throws EEXIST rather than overwrite a key. */
export async function writeSignerFile(path: string, text: string): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** The signer for `name` in the file. */
export async function readSignerFile(path: string, name: string): Promise<KeyFile> {
  const file = await readSecretFile(path);
  if (!file.ok) return file;
  const key = parseSigner(file.text);
  if (key === null) return { ok: false, reason: "expected a key made by `heddle audit keygen`" };
  if (key.name === name) return { ok: true, key };
  return { ok: false, reason: `it is the key of ${key.name}, expected ${name}` };
}

export type Signed = "valid" | "invalid" | "absent";

/** What the note has of `key`: a good signature, only bad ones, or none. */
export function signedBy(note: Note, key: VerifierKey): Signed {
  const ours = note.signatures.filter(
    ({ name, keyHash }) => name === key.name && keyHash === key.keyHash,
  );
  if (ours.length === 0) return "absent";
  const text = new TextEncoder().encode(note.text);
  const good = ours.some(({ signature }) => verify(null, text, key.key, signature));
  return good ? "valid" : "invalid";
}

function signerOf(name: string, seed: Uint8Array): SignerKey {
  const der = { format: "der", type: "pkcs8" } as const;
  const secret = createPrivateKey({ ...der, key: Buffer.from([...SEED_PREFIX, ...seed]) });
  const spki = createPublicKey(secret).export({ format: "der", type: "spki" });
  const verifier = verifierOf(name, Uint8Array.from(spki.subarray(PUBLIC_PREFIX.length)));
  const { keyHash } = verifier;
  return {
    ...verifier,
    sign: (text) => {
      const signature = sign(null, new TextEncoder().encode(text), secret);
      return noteText({ text, signatures: [{ name, keyHash, signature }] });
    },
  };
}

function verifierOf(name: string, bytes: Uint8Array): VerifierKey {
  const material = tagged(bytes);
  const keyHash = sha256(Buffer.from([...new TextEncoder().encode(`${name}\n`), ...material]))
    .subarray(0, 4)
    .toHex();
  const der = Buffer.from([...PUBLIC_PREFIX, ...bytes]);
  const key = createPublicKey({ format: "der", type: "spki", key: der });
  return { name, keyHash, text: `${name}+${keyHash}+${material.toBase64()}`, key };
}

function tagged(bytes: Uint8Array): Uint8Array {
  return Uint8Array.of(ED25519, ...bytes);
}

/** Of `NAME+HASH+base64`, whose name holds no space and no plus. */
function partsOf(text: string) {
  const [, name = "", keyHash = "", encoded = ""] =
    /^([^\s+]+)\+([0-9a-f]{8})\+(\S+)$/.exec(text) ?? [];
  const bytes = fromBase64(encoded);
  if (bytes?.length !== 1 + KEY_BYTES || bytes[0] !== ED25519) return null;
  return { name, keyHash, bytes: bytes.slice(1) };
}
