import { beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decode as decodeWith, encode, PAYLOAD_BYTES_MAX } from "../../src/events/codec.ts";
import { CodecMemo } from "../../src/events/codec-memo.ts";
import { type Draft, eventTypes } from "../../src/events/event.ts";
import type { Recorded } from "../../src/events/log.ts";
import { subjectOf } from "../../src/events/subject.ts";
import { draft, FABRIC, history, messageOf } from "../support/arbitraries.ts";
import { golden } from "../support/golden-events.ts";

/** A fresh one looks at each record, and knows none. */
let memo = new CodecMemo();
beforeEach(() => {
  memo = new CodecMemo();
});
const decode = (fabric: string, from: Recorded) => decodeWith(fabric, from, memo);

const bytes = (text: string) => new TextEncoder().encode(text);
const record = (payload: Uint8Array | string, subject = "heddle.t.node.h1.member"): Recorded => ({
  seq: 1,
  timeMs: 1,
  subject,
  payload: typeof payload === "string" ? bytes(payload) : payload,
});
const reasonOf = (from: Recorded): string => {
  const decoded = decode(FABRIC, from);
  return decoded.ok ? "accepted" : decoded.reason;
};

describe("stored payloads of every version", () => {
  test("there is one of every type", () => {
    const types = golden().filter(({ version }) => version === 1);
    expect(types.map(({ type }) => type).sort()).toEqual([...eventTypes].sort());
  });

  test.each(golden())("$type version $version is still accepted", ({ type, payload, event }) => {
    const decoded = decode(FABRIC, record(payload, subjectOf(FABRIC, event)));
    expect(decoded).toMatchObject({ ok: true, event: { type, data: event.data } });
  });
});

test("what is encoded is decoded to the same event", () => {
  fc.assert(
    fc.property(draft, (event) => {
      const { subject, payload } = messageOf(event, "id-1");
      const decoded = decode(FABRIC, { seq: 1, timeMs: 1, subject, payload });
      expect(decoded).toEqual({ ok: true, event: { ...event, v: 1, id: "id-1" } as never });
    }),
  );
});

test("any bytes on any subject give an event or a reason", () => {
  const any = fc.record({
    seq: fc.nat(),
    timeMs: fc.nat(),
    subject: fc.string(),
    payload: fc.oneof(
      fc.uint8Array(),
      fc.json().map(bytes),
      fc.string().map((s) => bytes(`{"type":"NodeLeft","v":1,"id":"a","data":${s}}`)),
    ),
  });
  fc.assert(fc.property(any, (each) => typeof decode(FABRIC, each).ok === "boolean"));
});

test("bytes that were seen before are judged as at the first time, in any layout", () => {
  fc.assert(
    fc.property(history, (records) => {
      for (const each of records) {
        const first = decode(FABRIC, each);
        // The second time it is taken note of, the third time it is recognised.
        for (let time = 2; time <= 3; time++) expect(decode(FABRIC, each)).toEqual(first);
        // A space in front takes the payload off the beaten path, past everything remembered.
        const slow = decode(FABRIC, { ...each, payload: Uint8Array.of(32, ...each.payload) });
        expect(slow).toEqual(first);
      }
    }),
    { numRuns: 50 },
  );
});

test("remembered data is no way round the subject, the version or a second key", () => {
  const left = '{"node":"h1","reason":""}';
  const text = (head: string, tail = "}") => `${head},"data":${left}${tail}`;
  const usual = text('{"type":"NodeLeft","v":1,"id":"a"');
  for (let time = 1; time <= 3; time++) expect(reasonOf(record(usual))).toBe("accepted");
  expect(reasonOf(record(usual, "heddle.t.node.h2.member"))).toBe(
    "NodeLeft on heddle.t.node.h2.member speaks for heddle.t.node.h1.member",
  );
  expect(reasonOf(record(text('{"type":"NodeLeft","v":01,"id":"a"')))).toBe("payload is not JSON");
  expect(reasonOf(record(text('{"type":"NodeLeft","v":2,"id":"a"')))).toContain("newer");
  expect(reasonOf(record(text('{"type":"NodeLeft","v":1,"id":"a"', "}}")))).toBe(
    "payload is not JSON",
  );
  const twice = text('{"type":"NodeLeft","v":1,"id":"a"', ',"id":"b"}');
  for (let time = 1; time <= 3; time++) {
    expect(decode(FABRIC, record(twice))).toMatchObject({ ok: true, event: { id: "b" } });
  }
});

test("the same data under another type is another event", () => {
  const body = '{"node":"h1","reason":""}';
  const of = (type: string, leaf: string) =>
    decode(
      FABRIC,
      record(`{"type":"${type}","v":1,"id":"a","data":${body}}`, `heddle.t.node.h1.${leaf}`),
    );
  for (let time = 1; time <= 3; time++) {
    expect(of("NodeLeft", "member")).toMatchObject({ ok: true, event: { type: "NodeLeft" } });
    expect(of("HostFrozen", "report")).toMatchObject({ ok: true, event: { type: "HostFrozen" } });
    expect(of("HostRecovered", "report")).toMatchObject({
      ok: true,
      event: { data: { node: "h1" } },
    });
  }
});

test("remembered data belongs to its fabric", () => {
  const payload = encode({ type: "HostRecovered", data: { node: "h7" } }, "a");
  const at = (fabric: string) =>
    decode(fabric, record(payload, `heddle.${fabric}.node.h7.report`)).ok;
  for (let time = 1; time <= 3; time++) expect([at("a"), at("b")]).toEqual([true, true]);
  expect(decode("b", record(payload, "heddle.a.node.h7.report")).ok).toBe(false);
});

test("an event that others share cannot be changed by who reads it", () => {
  const problems = ["changed by a reader"];
  const payload = encode({ type: "HostDegraded", data: { node: "h1", problems } }, "a");
  const shown = () => {
    const decoded = decode(FABRIC, record(payload, "heddle.t.node.h1.report"));
    if (!decoded.ok || decoded.event.type !== "HostDegraded") throw new Error("not decoded");
    return decoded.event.data.problems;
  };
  shown().push("y");
  const kept = shown();
  expect(kept).toEqual(problems);
  expect(shown()).toBe(kept);
  expect(() => kept.push("y")).toThrow();
});

test("what is remembered is a copy: a payload's memory may be used again", () => {
  const written = '{"type":"HostRecovered","v":1,"id":"a","data":{"node":"copied"}}';
  const data = (payload: Uint8Array) => {
    const decoded = decode(FABRIC, record(payload, "heddle.t.node.copied.report"));
    return decoded.ok ? decoded.event.data : decoded.reason;
  };
  const socket = Buffer.from(written);
  data(socket);
  const kept = data(socket);
  socket.fill(0x20);
  expect(data(bytes(written))).toBe(kept);
});

const member = golden().find(({ type }) => type === "NodeJoined")?.event.data;
const joined = (change: object) =>
  JSON.stringify({ type: "NodeJoined", v: 1, id: "a", data: { ...member, ...change } });

test.each([
  ["payload is not UTF-8", new Uint8Array([0x7b, 0xff, 0x7d])],
  ["payload is not JSON", "{"],
  ["payload is not JSON", ""],
  ["payload is not a JSON object", "[]"],
  ["payload is not a JSON object", "null"],
  ["type: expected a string", "{}"],
  ['unknown event type "toString"', '{"type":"toString","v":1,"id":"a","data":{}}'],
  ["v: expected a positive whole number", '{"type":"NodeLeft","v":0,"id":"a"}'],
  ["v: expected a positive whole number", '{"type":"NodeLeft","v":"1","id":"a"}'],
  [
    "NodeLeft version 2 is newer than this program understands",
    '{"type":"NodeLeft","v":2,"id":"a"}',
  ],
  ["id: expected a string of 1 to 128 characters", '{"type":"NodeLeft","v":1,"id":"","data":{}}'],
  ["publicIp: expected a canonical IP address", joined({ publicIp: "198.18.0.01" })],
  ["publicIpv6: expected a canonical IP address", joined({ publicIpv6: "2001:DB8::1" })],
  ["vtepMac: expected a unicast MAC address", joined({ vtepMac: "01:00:00:00:00:00" })],
  ["node: expected a node name", joined({ node: "a b" })],
])("%s", (reason, payload) => {
  expect(reasonOf(record(payload))).toContain(reason);
});

test("a payload that is too large is not even read", () => {
  const payload = new Uint8Array(PAYLOAD_BYTES_MAX + 1);
  expect(reasonOf(record(payload))).toBe("payload of 65537 bytes, at most 65536 are accepted");
});

test("a payload nested thousands deep is refused, not a stack overflow", () => {
  const nest = `${"[".repeat(20_000)}${"]".repeat(20_000)}`;
  for (const config of [`{"Network":${nest}}`, nest]) {
    const text = `{"type":"FabricConfigured","v":1,"id":"a","data":{"config":${config}}}`;
    expect(reasonOf(record(text, "heddle.t.admin.config"))).toContain("FabricConfigured: config: ");
  }
  const text = `{"type":"NodeLeft","v":1,"id":"a","data":{"node":"h1","reason":"","more":${nest}}}`;
  expect(reasonOf(record(text))).toBe("accepted");
});

test("text quoted from an unknown type is short and printable", () => {
  const type = `\u001b[31m${"x".repeat(500)}`;
  const reason = reasonOf(record(JSON.stringify({ type, v: 1, id: "a", data: {} })));
  expect(reason).toMatch(/^unknown event type "[ -~…]{1,80}"$/);
});

test("on whose behalf is read back, and what cannot be read of it counts as not said", () => {
  const draft: Draft = { type: "PeerRemoved", data: { name: "lb" } };
  const decoded = (payload: Uint8Array) =>
    decode("f", { seq: 1, timeMs: 0, subject: subjectOf("f", draft), payload });
  const by = { token: "ci", request: "abc" };
  expect(decoded(encode(draft, "id", by))).toMatchObject({ ok: true, event: { ...draft, by } });
  const plain = decoded(encode(draft, "id"));
  for (const wrong of [null, 7, "ci", {}, { token: "" }, { token: "x".repeat(64) }, { token: 1 }]) {
    const envelope = { type: draft.type, v: 1, id: "id", by: wrong, data: draft.data };
    expect(decoded(new TextEncoder().encode(JSON.stringify(envelope)))).toEqual(plain);
  }
});
