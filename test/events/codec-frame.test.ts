import { expect, test } from "bun:test";
import fc from "fast-check";
import { encode } from "../../src/events/codec.ts";
import { frameOf, HEADS, hasAt, hashOf, idOf } from "../../src/events/codec-frame.ts";
import { draft } from "../support/arbitraries.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (part: Uint8Array) => new TextDecoder().decode(part);

test("the parts of what is encoded are found where they are", () => {
  const plain = fc.stringMatching(/^[!#-[\]-~]{1,128}$/);
  fc.assert(
    fc.property(draft, plain, (event, id) => {
      const payload = encode(event, id);
      const frame = frameOf(payload);
      if (frame === null) throw new Error("no frame");
      const head = HEADS.get(event.type) ?? new Uint8Array();
      expect(hasAt(payload, 0, head) && head.length === frame.idAt).toBe(true);
      expect(idOf(payload, frame)).toBe(id);
      const body = payload.subarray(frame.bodyAt, frame.bodyEnd);
      expect(text(body)).toBe(JSON.stringify(event.data));
    }),
  );
});

test.each([
  ["", "nothing"],
  ["{}", "no type"],
  ['{"type":"NodeLeft","v":1,"id":"","data":{}}', "an empty id"],
  [`{"type":"NodeLeft","v":1,"id":"${"x".repeat(129)}","data":{}}`, "an id too long"],
  ['{"type":"NodeLeft","v":1,"id":"a\\\\n","data":{}}', "an escape in the id"],
  ['{"type":"NodeLeft","v":1,"id":"a b","data":{}}', "a space in the id"],
  ['{"type":"NodeLeft","v":1,"id":"ä","data":{}}', "an id beyond ASCII"],
  ['{"type":"NodeLeft","v":1,"id":"a", "data":{}}', "another layout"],
  ['{"type":"NodeLeft","v":1,"id":"a","data":}', "no data"],
  ['{"type":"NodeLeft","v":1,"id":"a","data":{}} ', "a space at the end"],
])("%j has no frame: %s", (written) => {
  expect(frameOf(bytes(written))).toBeNull();
});

test("any bytes give a frame within them or none", () => {
  const head = fc.constantFrom('{"type":"NodeLeft","v":1,"id":"a","data":', '{"type":"', "");
  fc.assert(
    fc.property(head, fc.uint8Array({ maxLength: 40 }), (start, rest) => {
      const payload = Uint8Array.of(...bytes(start), ...rest);
      const frame = frameOf(payload);
      if (frame === null) return;
      const { typeEnd, idAt, idEnd, bodyAt, bodyEnd } = frame;
      expect([typeEnd, idAt, idEnd, bodyAt, bodyEnd, payload.length]).toEqual(
        [typeEnd, idAt, idEnd, bodyAt, bodyEnd, payload.length].toSorted((a, b) => a - b),
      );
    }),
  );
});

test("data of ten thousand nodes rarely meets in one hash", () => {
  const hashes = new Set<number>();
  for (let i = 0; i < 10_000; i++) {
    const payload = encode({ type: "HostRecovered", data: { node: `node-${i}` } }, `id-${i}`);
    const frame = frameOf(payload);
    if (frame !== null) hashes.add(hashOf(payload, frame));
  }
  // Of 32 random bits one pair in 86 runs would meet.
  expect(hashes.size).toBeGreaterThan(9_990);
});

test("the hash is of type and data alone", () => {
  const hash = (written: string) => {
    const payload = bytes(written);
    const frame = frameOf(payload);
    return frame === null ? null : hashOf(payload, frame);
  };
  const one = hash('{"type":"LeaseClaimed","v":1,"id":"a","data":{"node":"h1"}}');
  expect(hash('{"type":"LeaseClaimed","v":1,"id":"bcd","data":{"node":"h1"}}')).toBe(one);
  expect(hash('{"type":"LeaseRenewed","v":1,"id":"a","data":{"node":"h1"}}')).not.toBe(one);
  expect(hash('{"type":"LeaseClaimed","v":1,"id":"a","data":{"node":"h2"}}')).not.toBe(one);
});
