// Any point of a log of several chunks: what the server answers is what a fold from the first
// record gives, whether the records are kept or read again.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { fold } from "../../src/events/fold.ts";
import type { EventLog, Recorded } from "../../src/events/log.ts";
import { LogError } from "../../src/events/log.ts";
import { isoTime, parsePoint } from "../../src/events/point.ts";
import { encodeState } from "../../src/events/snapshot.ts";
import { initialState } from "../../src/events/state.ts";
import { eventDocument } from "../../src/http/event-view.ts";
import { createFollower, type Follower } from "../../src/http/follower.ts";
import { History } from "../../src/http/history.ts";
import { CHUNK } from "../../src/http/journal.ts";
import { type Page, type PageQuery, Pages, restOf } from "../../src/http/pages.ts";
import { history as storyOf } from "../support/history.ts";
import { realClock } from "../support/real-clock.ts";

const FABRIC = "past";
const HEAD = 3 * CHUNK + 100;
const nowMs = Date.UTC(2031, 0, 1);

/** Accepted, void and quarantined records, one a second, the clock stepping back now and then. */
function records(): readonly Recorded[] {
  const story = storyOf(FABRIC).config({ Network: "10.0.0.0/8" });
  story.join("h1").claim("h1", ["10.5.3.0/24"]);
  while (story.records.length < HEAD) {
    const i = story.records.length;
    if (i % 7 === 0) story.append({ type: "PeerRemoved", data: { name: "nobody" } }, "void");
    else if (i % 5 === 0) story.peer("lb", `10.9.${i % 256}.0/24`, "198.18.9.9");
    else if (i % 11 === 0) story.append({ type: "HostRecovered", data: { node: "h1" } });
    else story.release("h1").claim("h1", ["10.5.3.0/24"]);
    story.wait(1000);
  }
  return story.records.slice(0, HEAD).map((record, i) => {
    const timeMs = i % 100 === 99 ? record.timeMs - 5000 : record.timeMs;
    const payload = i % 500 === 13 ? new TextEncoder().encode("garbage") : record.payload;
    return { ...record, timeMs, payload };
  });
}

const stored = records();
let reads = 0;
let lostFrom = Number.POSITIVE_INFINITY;

const log: EventLog = {
  info: async () => ({ created: "x", firstSeq: 1, lastSeq: HEAD, server: "2.9.10" }),
  get: async (seq) => stored[seq - 1] ?? null,
  append: () => Promise.reject(new Error("not used")),
  async *read(from, signal, { last = Number.POSITIVE_INFINITY } = {}) {
    reads++;
    if (from >= lostFrom) throw new LogError("gap", `the log ends at ${lostFrom - 1}`);
    yield stored.slice(from - 1, Math.min(last, lostFrom - 1));
    if (last <= HEAD) return;
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  },
};

interface World {
  readonly follower: Follower;
  readonly history: History;
  readonly pages: Pages;
}

const stop = new AbortController();

async function open(keptBytesMax?: number): Promise<World> {
  const follower = createFollower({ log, clock: realClock, fabric: FABRIC });
  const options = { log, fabric: FABRIC, follower, wallMs: () => nowMs };
  const history = new History({
    ...options,
    ...(keptBytesMax === undefined ? {} : { keptBytesMax, checkpointRecords: 700 }),
  });
  void follower.run(stop.signal);
  expect(await follower.reached(HEAD, 5000)).toBeTrue();
  return { follower, history, pages: new Pages(history, FABRIC) };
}

/** What a fold from the first record says, at every sequence. */
const texts = [encodeState(initialState(FABRIC))];
const lines: string[] = [];
const seqAt: { readonly ms: number; readonly seq: number }[] = [];
{
  const state = initialState(FABRIC);
  for (const record of stored) {
    lines.push(JSON.stringify(eventDocument(record, fold(state, record))));
    texts.push(record.seq % 97 === 0 || record.seq > HEAD - 2 ? encodeState(state) : "");
    seqAt.push({ ms: state.timeMs, seq: record.seq });
  }
}

afterAll(() => stop.abort());

describe.each([
  ["kept whole", undefined],
  ["read again from the log, with states kept", 1],
])("a log %s", (_, keptBytesMax) => {
  let world: World;

  beforeAll(async () => {
    world = await open(keptBytesMax);
  });

  test("the state at any sequence is the fold's", async () => {
    for (let seq = 0; seq <= HEAD; seq++) {
      if (texts[seq] === "") continue;
      expect(encodeState(await world.history.stateAt(seq))).toBe(texts[seq] ?? "");
    }
  });

  test("a time is after every record stamped at or before it", async () => {
    for (const { ms, seq } of seqAt.filter(({ seq }) => seq % 61 === 0)) {
      for (const at of [ms, ms + 500]) {
        const last = seqAt.findLast((entry) => entry.ms <= at)?.seq;
        const point = parsePoint(isoTime(at));
        if (point === null) throw new Error("no point");
        expect([seq, await world.history.resolve({ name: "at", point })]).toEqual([
          seq,
          last ?? -1,
        ]);
        const first = seqAt.find((entry) => entry.ms >= at)?.seq;
        const from = await world.history.resolveFrom({ name: "from", point });
        expect([seq, from]).toEqual([seq, first ?? HEAD + 1]);
      }
    }
  });

  test("pages are the log's lines in order, each with its verdict, none left out", async () => {
    const all: string[] = [];
    let from: number | null = 1;
    while (from !== null) {
      const all301 = { types: [], limit: 301, order: "asc" } as const;
      const page = await world.pages.page({ from, last: HEAD, ...all301 });
      all.push(...page.lines);
      from = page.next;
    }
    expect(all).toEqual(lines);
  });

  test.each([
    [[], 301],
    [["PeerRemoved"], 10],
    [["PeerAdded", "LeaseClaimed"], 1000],
  ] as const)("newest first, %p is the same backwards, %d at a time", async (types, limit) => {
    const all: string[] = [];
    let query: PageQuery | null = { from: 3, last: HEAD - 3, types, limit, order: "desc" };
    while (query !== null) {
      const { lines: more, next }: Page = await world.pages.page(query);
      expect(more.length).toBeLessThanOrEqual(limit);
      all.push(...more);
      query = next === null ? null : restOf(query, next);
    }
    const isOf = (line: string) => types.some((type) => line.includes(`"type":"${type}"`));
    const wanted = lines.slice(2, HEAD - 3).filter((line) => types.length === 0 || isOf(line));
    expect(all).toEqual(wanted.reverse());
  });

  test("a page of a type has that type only, wherever the pages are cut", async () => {
    const wanted = lines.filter((line) => line.includes('"type":"PeerRemoved"')).slice(10);
    const query = { last: HEAD, types: ["PeerRemoved"], order: "asc" } as const;
    const skip = await world.pages.page({ ...query, from: 1, limit: 10 });
    const rest = await world.pages.page({ ...query, from: skip.next ?? 0, limit: HEAD });
    expect(rest.lines).toEqual(wanted);
    expect(rest.next).toBeNull();
  });
});

test("kept records are not read again, and read ones are kept", async () => {
  const { history } = await open();
  const before = reads;
  await history.stateAt(HEAD - 5);
  await history.stateAt(5);
  expect(reads).toBe(before);
});

test("a log that lost what was read before says so", async () => {
  const { history } = await open(1);
  lostFrom = CHUNK;
  await expect(history.stateAt(CHUNK + 5)).rejects.toThrow(LogError);
  lostFrom = Number.POSITIVE_INFINITY;
  expect((await history.stateAt(CHUNK + 5)).seq).toBe(CHUNK + 5);
});
