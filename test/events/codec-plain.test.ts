import { expect, test } from "bun:test";
import fc from "fast-check";
import { encode } from "../../src/events/codec.ts";
import { readPlain } from "../../src/events/codec-plain.ts";
import { eventForms } from "../../src/events/event-form.ts";
import { testOf } from "../../src/events/form.ts";
import { draft } from "../support/arbitraries.ts";
import { golden } from "../support/golden-events.ts";

const written = (payload: Uint8Array) => new TextDecoder().decode(payload);
/** Of a configuration anything may be in the document; a time is more than a form. */
const LONG_WAY = ["FabricConfigured", "TokenCreated"];

test.each(golden())("$type is read at a glance, if its form can be written as one", (stored) => {
  const { type, event } = stored;
  const read = readPlain(written(encode(event, "id-1")));
  const whole = { ok: true, type: event.type, id: "id-1", data: event.data } as const;
  expect(read).toEqual(LONG_WAY.includes(type) ? null : whole);
});

test("what is read at a glance is what is written, and has the form of its type", () => {
  const changes = [...'{}[]"\\:,.-/0123456789aefnx _\n\u00e9', "null", "::", ',"node":"h1"'];
  const change = fc.record({
    at: fc.nat(600),
    cut: fc.nat(2),
    put: fc.oneof(fc.constant(""), fc.constantFrom(...changes)),
  });
  let glances = 0;
  fc.assert(
    fc.property(draft, change, (event, { at, cut, put }) => {
      const before = written(encode(event, "id-1"));
      const from = at % before.length;
      const text = before.slice(0, from) + put + before.slice(from + cut);
      const read = readPlain(text);
      if (read === null) return;
      glances++;
      const { type, id, data } = read;
      expect(JSON.stringify({ type, v: 1, id, data })).toBe(text);
      const form = eventForms[type];
      expect(form !== undefined && testOf(form)(data)).toBe(true);
    }),
    { numRuns: 5000 },
  );
  expect(glances).toBeGreaterThan(300);
});

const joined = (part: object) => {
  const member = golden().find(({ type }) => type === "NodeJoined")?.event.data as {
    underlay: object;
  };
  const underlay = { ...member.underlay, ...part };
  return JSON.stringify({ type: "NodeJoined", v: 1, id: "a", data: { ...member, underlay } });
};

test.each([
  [{}, true],
  [{ onlink: ["10.5.0.0/23"] }, true],
  [{ onlink: ["10.5.1.0/23"] }, false],
  [{ onlink: new Array(64).fill("10.5.0.0/23") }, true],
  [{ onlink: new Array(65).fill("10.5.0.0/23") }, false],
  [{ local: "198.18.0.256" }, false],
  [{ localv6: "2001:db8::1:2:3:4" }, true],
  [{ localv6: "2001:db8::1:2:3:4:5" }, false],
  [{ localv6: "2001:db8:0::1" }, false],
  [{ localv6: "2001:db8::1::2" }, false],
  [{ mtu: 100 }, true],
  [{ mtu: 67 }, false],
  [{ dev: "x".repeat(16) }, false],
])("of a member whose underlay is %j: %p", (part, plain) => {
  expect(readPlain(joined(part)) !== null).toBe(plain);
});

test.each([
  ["NodeJoined", /"node":"[^"]*"/, '"node":"a..b"'],
  ["NodeJoined", /"vtepMac":"[^"]*"/, '"vtepMac":"00:00:00:00:00:00"'],
  ["LeaseClaimed", /"epoch":\d+/, '"epoch":0'],
  ["LeaseClaimed", /"epoch":\d+/, '"epoch":9007199254740993'],
  ["LeaseClaimed", /"ttlSeconds":\d+/, '"ttlSeconds":315360001'],
] as const)("%s with %p written as %s is read the long way", (type, part, other) => {
  const stored = golden().find((each) => each.type === type);
  if (stored === undefined) throw new Error(type);
  const text = written(encode(stored.event, "a"));
  expect(readPlain(text)).not.toBeNull();
  expect(text).toMatch(part);
  expect(readPlain(text.replace(part, other))).toBeNull();
});
