import { afterEach, expect, test } from "bun:test";
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseNote } from "../../src/events/checkpoint.ts";
import {
  newSigner,
  parseSigner,
  parseVerifier,
  readSignerFile,
  signedBy,
  writeSignerFile,
} from "../../src/http/audit-key.ts";

/** The key pair and the note of the tests of Go's golang.org/x/mod/sumdb/note. */
const GO_SIGNER = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const GO_VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_TEXT =
  "If you think cryptography is the answer to your problem,\n" +
  "then you don't know what your problem is.\n";
const GO_NOTE =
  `${GO_TEXT}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2` +
  "pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

let dir: string | null = null;

afterEach(async () => {
  if (dir !== null) await rm(dir, { recursive: true });
  dir = null;
});

async function pathOf(name: string): Promise<string> {
  dir ??= await mkdtemp(join(tmpdir(), "heddle-key-"));
  return join(dir, name);
}

test("keys and signatures are those of another implementation, byte for byte", () => {
  const signer = parseSigner(GO_SIGNER);
  const verifier = parseVerifier(GO_VERIFIER);
  const note = parseNote(GO_NOTE);
  if (signer === null || verifier === null || note === null) throw new Error("not read");
  expect(signer.text).toBe(GO_VERIFIER);
  expect(signer.sign(GO_TEXT)).toBe(GO_NOTE);
  expect(signedBy(note, verifier)).toBe("valid");
  expect(signedBy({ ...note, text: `${note.text}more\n` }, verifier)).toBe("invalid");
});

test("a signature of another key is absent, not invalid", () => {
  const { key } = newSigner("heddle/prod");
  const other = newSigner("heddle/prod").key;
  const note = parseNote(key.sign("text\n"));
  if (note === null) throw new Error("not read");
  expect(signedBy(note, key)).toBe("valid");
  expect(signedBy(note, other)).toBe("absent");
});

test("a damaged key is none", () => {
  const { text, key } = newSigner("heddle/prod");
  expect(parseSigner(text)?.text).toBe(key.text);
  expect(parseSigner(text.replace("heddle/prod", "heddle/test"))).toBeNull();
  expect(parseVerifier(key.text.replace("heddle/prod", "heddle/test"))).toBeNull();
  for (const nonsense of ["", "a+b+c", text, `${key.text}AA`]) {
    expect(parseVerifier(nonsense)).toBeNull();
  }
});

test("a key file is its owner's alone, is never overwritten, and is of one fabric", async () => {
  const path = await pathOf("key");
  const { text, key } = newSigner("heddle/prod");
  await writeSignerFile(path, text);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  await expect(writeSignerFile(path, "other")).rejects.toThrow("EEXIST");
  expect(await readFile(path, "utf8")).toBe(text);
  const read = await readSignerFile(path, "heddle/prod");
  expect(read.ok && read.key.text).toBe(key.text);
  expect(await readSignerFile(path, "heddle/test")).toEqual({
    ok: false,
    reason: "it is the key of heddle/prod, expected heddle/test",
  });
  await chmod(path, 0o640);
  expect(await readSignerFile(path, "heddle/prod")).toEqual({
    ok: false,
    reason: "its mode is 0640, expected 0600: it holds a secret",
  });
});

test("a missing or foreign key file is refused with the reason", async () => {
  expect(await readSignerFile(await pathOf("none"), "heddle/prod")).toEqual({
    ok: false,
    reason: "cannot be read (ENOENT)",
  });
  const path = await pathOf("nonsense");
  await writeFile(path, "nonsense", { mode: 0o600 });
  expect(await readSignerFile(path, "heddle/prod")).toEqual({
    ok: false,
    reason: "expected a key made by `heddle audit keygen`",
  });
});
