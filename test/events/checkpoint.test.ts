import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  checkpointText,
  fromBase64,
  noteText,
  originOf,
  parseCheckpoint,
  parseNote,
} from "../../src/events/checkpoint.ts";

/** From the tests of Go's golang.org/x/mod/sumdb/note. */
const GO_NOTE =
  "If you think cryptography is the answer to your problem,\n" +
  "then you don't know what your problem is.\n\n" +
  "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2" +
  "pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
const checkpoint = fc.record({
  origin: fc.constantFrom("heddle/prod", "heddle/a-1"),
  size: fc.nat(),
  root: hash,
});

test("a checkpoint is three lines: origin, size, root", () => {
  const root = new Uint8Array(32).fill(255);
  expect(checkpointText({ origin: originOf("prod"), size: 42, root })).toBe(
    "heddle/prod\n42\n//////////////////////////////////////////8=\n",
  );
});

test("a checkpoint is read as it was written", () => {
  fc.assert(
    fc.property(checkpoint, (each) => expect(parseCheckpoint(checkpointText(each))).toEqual(each)),
  );
});

test("what is not exactly a checkpoint is none", () => {
  const root = new Uint8Array(32).toBase64();
  expect(parseCheckpoint(`heddle/p\n1\n${root}\n`)).not.toBeNull();
  const others = [
    "",
    `heddle/p\n1\n${root}`,
    `heddle/p\n01\n${root}\n`,
    `heddle/p\n-1\n${root}\n`,
    `heddle/p\n1e3\n${root}\n`,
    `heddle/p\n9007199254740993\n${root}\n`,
    `\n1\n${root}\n`,
    `heddle/p\n1\n${root}\nmore\n`,
    `heddle/p\n1\n${root.slice(0, -4)}\n`,
    `heddle/p\n1\n ${root}\n`,
  ];
  for (const other of others) expect(parseCheckpoint(other)).toBeNull();
});

test("a note of another implementation is read and written byte for byte", () => {
  const note = parseNote(GO_NOTE);
  expect(note?.text.endsWith("your problem is.\n")).toBe(true);
  expect(note?.signatures.map(({ name, keyHash }) => [name, keyHash])).toEqual([
    ["PeterNeumann", "c74f20a3"],
  ]);
  if (note !== null) expect(noteText(note)).toBe(GO_NOTE);
});

test("what is not a signed note is none, whatever it is", () => {
  for (const text of [
    "",
    "\n\n",
    "text\n",
    "text\n\n",
    GO_NOTE.slice(0, -1),
    GO_NOTE.replace("—", "-"),
  ]) {
    expect(parseNote(text)).toBeNull();
  }
  expect(parseNote(`${"x".repeat(5000)}\n${GO_NOTE}`)).toBeNull();
  fc.assert(fc.property(fc.string(), (text) => void parseNote(text)));
});

test("base64 that could be written otherwise is refused", () => {
  expect(fromBase64("AQI=")).toEqual(Uint8Array.of(1, 2));
  for (const text of ["AQI", "AQJ=", "AQ I=", "_-8="]) expect(fromBase64(text)).toBeNull();
});
