// A record far behind the host is changed in the store: the stream keeps its identity and the
// record that the host stands on is the same.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { extend, genesis } from "../../src/agent/chain.ts";
import { isUnchanged } from "../../src/agent/recheck.ts";
import { createTail, type Tail } from "../../src/agent/tail.ts";
import { encode } from "../../src/events/codec.ts";
import type { Draft } from "../../src/events/event.ts";
import { type EventLog, LogError } from "../../src/events/log.ts";
import type { Snapshot } from "../../src/events/snapshot.ts";
import { subjectOf } from "../../src/events/subject.ts";
import { history } from "../support/history.ts";
import { MemoryLog } from "../support/log-memory.ts";
import { manualClock } from "../support/manual-clock.ts";

const RECORDS = 8;
const LONG_MS = 60_000;
const REWRITTEN = "the log was rewritten: its first 8 records are not those that were applied";

let clock = manualClock();
let memory = new MemoryLog(clock);
let stop = new AbortController();

beforeEach(async () => {
  clock = manualClock(Date.UTC(2030, 0, 1));
  memory = new MemoryLog(clock);
  stop = new AbortController();
  await write(RECORDS);
});
afterEach(() => stop.abort());

async function write(count: number): Promise<void> {
  const { log } = memory.client();
  for (let i = 0; i < count; i++) {
    const draft: Draft = { type: "HostRecovered", data: { node: `h${i}` } };
    const id = crypto.randomUUID();
    await log.append({ subject: subjectOf("t", draft), payload: encode(draft, id), id });
  }
}

async function tailOf(snapshot: Snapshot | null = null): Promise<Tail> {
  return (await startTail(memory.client().log, snapshot)).tail;
}

/** `ended` is what the tail ended with, null for nothing wrong. */
async function startTail(log: EventLog, snapshot: Snapshot | null) {
  const ignore = (): void => undefined;
  const follow = { log, clock, fabric: "t", node: "h1", onFolded: ignore, onChange: ignore };
  const tail = createTail({ ...follow, snapshot });
  const ended = tail.run(stop.signal).then(
    () => null,
    (error: unknown) => error,
  );
  await clock.advance(LONG_MS);
  return { tail, ended };
}

/** `log`, where `first` goes before each reading that has an end: only a recheck's has one. */
function rereadBy(log: EventLog, first: () => void): EventLog {
  return {
    ...log,
    async *read(from, signal, reading) {
      if (reading?.last !== undefined) first();
      yield* log.read(from, signal, reading);
    },
  };
}

function snapshotOf(tail: Tail): Snapshot {
  return { position: tail.position(), state: structuredClone(tail.state()), writer: "test" };
}

/** One bit of record 3, and back again when it is called twice. */
function rewrite(): void {
  const copy = memory.copy();
  const records = copy.records.map((each) => {
    const flipped = each.payload.map((byte, i) => (i === 30 ? byte ^ 1 : byte));
    return each.seq === 3 ? { ...each, payload: flipped } : each;
  });
  memory.rewind({ ...copy, records });
  memory.breakReaders();
}

test("a host that follows notices it at its next connection, and when it is undone", async () => {
  const tail = await tailOf();
  expect(tail.view()).toMatchObject({ seq: RECORDS, damage: null });
  rewrite();
  await clock.advance(LONG_MS);
  expect(tail.view()).toMatchObject({ seq: RECORDS, damage: REWRITTEN });
  await write(1);
  await clock.advance(LONG_MS);
  expect(tail.view().seq).toBe(RECORDS);
  rewrite();
  await clock.advance(LONG_MS);
  expect(tail.view()).toMatchObject({ seq: RECORDS + 1, damage: null });
});

test("a host that starts from its snapshot notices it", async () => {
  const first = await tailOf();
  const snapshot = snapshotOf(first);
  stop.abort();
  stop = new AbortController();
  rewrite();
  const second = await tailOf(snapshot);
  expect(second.view()).toMatchObject({ seq: RECORDS, damage: REWRITTEN });
  second.accept();
  await clock.advance(LONG_MS);
  expect(second.view()).toMatchObject({ seq: RECORDS, damage: null });
});

test("hosts that left long ago do not make it take longer", async () => {
  const { log } = memory.client();
  const story = history("t").config({ Network: "10.5.0.0/16" });
  for (let i = 1; i <= 1000; i++) story.join(`h${i}`).leave(`h${i}`);
  for (const { subject, payload } of story.records) {
    await log.append({ subject, payload, id: crypto.randomUUID() });
  }
  const snapshot = snapshotOf(await tailOf());
  rewrite();
  const damage = expect.stringContaining("the log was rewritten");
  expect((await tailOf(snapshot)).view()).toMatchObject({ damage });
});

test("reading again that fails while the host goes on following is repeated", async () => {
  const snapshot = snapshotOf(await tailOf());
  rewrite();
  const { log } = memory.client();
  let fails = 2;
  const failing = rereadBy(log, () => {
    if (fails-- > 0) throw new LogError("unreachable", "the consumer is gone");
  });
  const { tail } = await startTail(failing, snapshot);
  expect(fails).toBeLessThan(0);
  expect(tail.view()).toMatchObject({ seq: RECORDS, damage: REWRITTEN });
});

test("a host that found the log rewritten stops at once", async () => {
  const tail = await tailOf();
  rewrite();
  await clock.advance(LONG_MS);
  expect(tail.view().damage).toBe(REWRITTEN);
  stop.abort();
  await clock.advance(0);
  expect(clock.pending).toBe(0);
});

test("what is no trouble of the log while it is read again ends the tail", async () => {
  const snapshot = snapshotOf(await tailOf());
  const failing = rereadBy(memory.client().log, () => {
    throw new TypeError("a bug");
  });
  const { ended } = await startTail(failing, snapshot);
  expect(await ended).toEqual(new TypeError("a bug"));
});

test("a lost connection alone, or a restart, is no damage", async () => {
  const first = await tailOf();
  memory.breakReaders();
  await write(3);
  await clock.advance(LONG_MS);
  expect(first.view()).toMatchObject({ seq: RECORDS + 3, damage: null });
  const second = await tailOf(snapshotOf(first));
  await write(2);
  await clock.advance(LONG_MS);
  expect(second.view()).toMatchObject({ seq: RECORDS + 5, damage: null });
});

test("reading again takes the longer the more hosts do it", async () => {
  await write(12_000);
  const { log } = memory.client();
  let chain = genesis;
  for (const record of memory.truth.records) chain = extend(chain, record);
  const seq = RECORDS + 12_000;
  for (const hosts of [0, 4]) {
    const passed = await msUntil(
      isUnchanged({ log, clock, seq, chain, hosts, node: "" }, stop.signal),
    );
    expect(passed).toBeGreaterThanOrEqual(Math.max(1, hosts) * 500);
    expect(passed).toBeLessThan(Math.max(1, hosts) * 800);
  }
});

test("nothing stays open at the server while a host waits for the others", async () => {
  await write(12_000);
  const { log } = memory.client();
  let chain = genesis;
  for (const record of memory.truth.records) chain = extend(chain, record);
  let open = 0;
  const openAtPause: number[] = [];
  const watched: EventLog = {
    ...log,
    async *read(...range) {
      open++;
      try {
        yield* log.read(...range);
      } finally {
        open--;
      }
    },
  };
  const pausing = {
    ...clock,
    after: (ms: number, fn: () => void) => {
      openAtPause.push(open);
      return clock.after(ms, fn);
    },
  };
  const seq = RECORDS + 12_000;
  const asked = { log: watched, clock: pausing, seq, chain, hosts: 12, node: "h1" };
  await msUntil(isUnchanged(asked, stop.signal));
  expect(openAtPause.length).toBeGreaterThan(2);
  expect(new Set(openAtPause)).toEqual(new Set([0]));
});

/** Clock time until it answers that nothing changed. */
async function msUntil(answer: Promise<boolean | null>): Promise<number> {
  const startMs = clock.nowMs();
  let done: boolean | null | undefined;
  void answer.then((value) => {
    done = value;
  });
  while (done === undefined) await clock.advance(50);
  expect(done).toBe(true);
  return clock.nowMs() - startMs;
}

test("a log that ends before is waited for, not taken for another", async () => {
  const reading: EventLog = memory.client().log;
  const done = isUnchanged(
    { ...{ log: reading, clock, seq: RECORDS + 1, chain: genesis, hosts: 1 }, node: "" },
    stop.signal,
  );
  await clock.advance(LONG_MS);
  stop.abort();
  expect(await done).toBeNull();
});
