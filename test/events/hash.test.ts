import { expect, test } from "bun:test";
import fc from "fast-check";
import { fnv1a32, fnv1a64 } from "../../src/events/hash.ts";

// From the reference implementation's own test vectors.
test.each([
  ["", 0xcbf29ce484222325n],
  ["a", 0xaf63dc4c8601ec8cn],
  ["foobar", 0x85944171f73967e8n],
])("FNV-1a, 64 bit, of %p", (text, hash) => {
  expect(fnv1a64(text)).toBe(hash);
});

test.each([
  ["", 0x811c9dc5],
  ["a", 0xe40c292c],
  ["foobar", 0xbf9cf968],
])("FNV-1a, 32 bit, of %p", (text, hash) => {
  expect(fnv1a32(text)).toBe(hash);
});

test("a text that changed in one place has another checksum", () => {
  fc.assert(
    fc.property(fc.string(), fc.nat(0xffff), fc.nat(0xffff), fc.string(), (head, a, b, tail) => {
      fc.pre(a !== b);
      const [one, other] = [a, b].map((code) => `${head}${String.fromCharCode(code)}${tail}`);
      expect(fnv1a32(one ?? "")).not.toBe(fnv1a32(other ?? ""));
    }),
  );
});
