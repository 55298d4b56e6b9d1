// Lines cut from stored bytes beside lines of the decoded event: whoever wrote a record, and
// however, the two are the same text.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { decode } from "../../src/events/codec.ts";
import type { EventType } from "../../src/events/event.ts";
import { fold } from "../../src/events/fold.ts";
import type { Recorded } from "../../src/events/log.ts";
import { initialState } from "../../src/events/state.ts";
import { accepted } from "../../src/events/verdict.ts";
import { Chunk } from "../../src/http/chunk.ts";
import { eventDocument } from "../../src/http/event-view.ts";
import { History } from "../../src/http/history.ts";
import { Pages } from "../../src/http/pages.ts";
import { isPlain } from "../../src/http/plain-line.ts";
import { draft, FABRIC, history, messageOf } from "../support/arbitraries.ts";
import { golden } from "../support/golden-events.ts";

/** Ways to say the same in other bytes, or nearly the same. */
const REWRITES: readonly ((text: string) => string)[] = [
  (text) => text,
  (text) => text.replace('"data":', '"data": '),
  (text) => `${text} `,
  (text) => text.replace(/\}$/, " }"),
  backwards,
  (text) => text.replace('"v":1', '"v":1.0'),
  (text) => text.replace('"id":"', '"id":"\\u0041'),
  (text) => text.replace('"id":"', '"id":"é'),
  (text) => text.replace('"id":"id', '"id":"\\"id'),
  (text) => text.replace('"data":{', '"data":{"more":1,'),
  (text) => text.replace(/\}\}$/, '},"data":{}}'),
  (text) => text.replace(/\}\}$/, '},"by":{"token":"ci"}}'),
  (text) => text.replace(',"data"', ',"by":{"token":"ci"},"data"'),
  (text) => text.replace('"note":""', '"note":"Ãé\u{1f980}"'),
  (text) => text.replace('"note":""', '"note":"\\u00e9\\n"'),
  (text) => text.replace('"reason":""', '"reason":"\\/"'),
  (text) => text.replace('"ttlSeconds":1', '"ttlSeconds":1e0'),
];

/** The same data, its last member first. */
function backwards(text: string): string {
  return text.replace(/"data":(\{.*\})\}$/, (all, data: string) => {
    const members = parsed(data);
    return members === null ? all : `"data":${JSON.stringify(members)}}`;
  });
}

function parsed(data: string): object | null {
  try {
    return Object.fromEntries(Object.entries(JSON.parse(data)).reverse());
  } catch {
    return null; // Garbage stays what it is.
  }
}

const rewritten = fc
  .tuple(history, fc.infiniteStream(fc.nat(REWRITES.length - 1)))
  .map(([records, choices]) =>
    records.map((record): Recorded => {
      const rewrite = REWRITES[choices.next().value ?? 0];
      const text = new TextDecoder().decode(record.payload);
      const isText = Buffer.from(text).equals(record.payload);
      if (rewrite === undefined || !isText) return record;
      return { ...record, payload: new TextEncoder().encode(rewrite(text)) };
    }),
  );

/** Pages over records that are all in one chunk, as the server takes note of them. */
function pagesOf(records: readonly Recorded[]): Pages {
  const state = initialState(FABRIC);
  let note: (record: Recorded, folded: ReturnType<typeof fold>) => void = () => undefined;
  const follower = {
    state: () => state,
    onFolded: (listener: typeof note) => {
      note = listener;
      return () => undefined;
    },
  };
  // Nothing of a log or a follower is asked for while the chunk is open.
  const unused = { log: null, wallMs: () => 0, fabric: FABRIC } as never as { fabric: string };
  const past = new History({ ...unused, follower } as never);
  for (const record of records) note(record, fold(state, record));
  return new Pages(past, FABRIC);
}

test("a page says what its decoded events say, to the byte", async () => {
  await fc.assert(
    fc.asyncProperty(rewritten, fc.nat(60), async (records, skipped) => {
      const state = initialState(FABRIC);
      const decoded = records.map((record) => {
        const folded = fold(state, record);
        const type = folded.event?.type ?? null;
        return { type, text: JSON.stringify(eventDocument(record, folded)) };
      });
      const pages = pagesOf(records);
      const [from, last] = [skipped + 1, records.length];
      const page = await pages.page({ from, last, types: [], limit: 1000, order: "asc" });
      expect(page.lines).toEqual(decoded.slice(skipped).map(({ text }) => text));
      const types: EventType[] = ["LeaseClaimed", "LeaseRevoked"];
      const some = await pages.page({ from: 1, last, types, limit: 1000, order: "asc" });
      const wanted = decoded.filter(({ type }) => types.some((each) => each === type));
      expect(some.lines).toEqual(wanted.map(({ text }) => text));
    }),
    { numRuns: 300 },
  );
});

test("a packed chunk gives the same plain lines and the same records", () => {
  fc.assert(
    fc.property(rewritten, (records) => {
      const growing = new Chunk(1);
      for (const record of records) growing.add(record);
      const opened = new Chunk(1, growing.pack());
      const state = initialState(FABRIC);
      for (const record of records) {
        const folded = fold(state, record);
        if (folded.event === null || !isPlain(record, folded)) continue;
        const line = JSON.stringify(eventDocument(record, folded));
        expect(opened.plainLine(record.seq, folded.event.type)).toBe(line);
        expect(growing.plainLine(record.seq, folded.event.type)).toBe(line);
      }
      const bytesOf = ({ payload, ...rest }: Recorded) => ({ ...rest, hex: payload.toHex() });
      if (records.every(({ subject }) => !/\s/.test(subject) && subject.isWellFormed())) {
        expect(opened.records.map(bytesOf)).toEqual(records.map(bytesOf));
      }
    }),
    { numRuns: 100 },
  );
});

test("what is written as events are written today is plain, so that pages stay quick", () => {
  const events = fc.sample(draft, { numRuns: 500, seed: 1 });
  for (const [i, event] of [...golden().map((each) => each.event), ...events].entries()) {
    const record = { seq: i + 1, timeMs: 0, ...messageOf(event, "id") };
    const decoded = decode(FABRIC, record);
    if (!decoded.ok) throw new Error(decoded.reason);
    expect([event, isPlain(record, { event: decoded.event, verdict: accepted })]).toEqual([
      event,
      true,
    ]);
  }
});

test("what was brought to the current version is shown in the current version", () => {
  const { payload, subject } = messageOf({ type: "HostRecovered", data: { node: "h1" } }, "id");
  const record = { seq: 1, timeMs: 0, subject, payload };
  const decoded = decode(FABRIC, record);
  const older = new TextDecoder().decode(payload).replace('"v":1', '"v":0');
  const folded = { event: decoded.ok ? decoded.event : null, verdict: accepted };
  expect(isPlain(record, folded)).toBeTrue();
  expect(isPlain({ ...record, payload: new TextEncoder().encode(older) }, folded)).toBeFalse();
});
