import { describe, expect, test } from "bun:test";
import { createTail, type Tail } from "../../src/agent/tail.ts";
import { encode } from "../../src/events/codec.ts";
import type { Draft } from "../../src/events/event.ts";
import type { EventLog, Recorded } from "../../src/events/log.ts";
import { decodeSnapshot, encodeSnapshot, type Snapshot } from "../../src/events/snapshot.ts";
import { stateDocument } from "../../src/events/state-document.ts";
import { subjectOf } from "../../src/events/subject.ts";
import { MemoryLog } from "../support/log-memory.ts";
import { type ManualClock, manualClock } from "../support/manual-clock.ts";

/** More than the longest pause between two looks at a log in trouble. */
const LONG_MS = 60_000;
const START_MS = Date.UTC(2030, 0, 1);

const reserve = (i: number): Draft => ({
  type: "LeaseReserved",
  data: { subnet: `10.5.${i}.0/24`, node: null, note: "" },
});
const config: Draft = { type: "FabricConfigured", data: { config: { Network: "10.5.0.0/16" } } };

class World {
  readonly clock: ManualClock = manualClock(START_MS);
  readonly memory = new MemoryLog(this.clock);
  readonly client = this.memory.client();
  readonly folded: number[] = [];
  readonly stop = new AbortController();
  log: EventLog = this.client.log;
  #ids = 0;

  async write(...drafts: readonly Draft[]): Promise<void> {
    for (const draft of drafts) {
      const id = `id-${++this.#ids}`;
      const { log } = this.memory.client();
      await log.append({ subject: subjectOf("t", draft), payload: encode(draft, id), id });
    }
  }

  /** Configuration and `count` reservations. */
  async fill(count: number, from = 1): Promise<void> {
    const reservations = Array.from({ length: count }, (_, i) => reserve(from + i));
    await this.write(config, ...reservations);
  }

  tail(snapshot: Snapshot | null = null): Tail {
    const tail = createTail({
      log: this.log,
      clock: this.clock,
      fabric: "t",
      snapshot,
      onFolded: (record) => this.folded.push(record.seq),
      onChange: () => undefined,
    });
    void tail.run(this.stop.signal);
    return tail;
  }
}

const snapshotOf = (tail: Tail): Snapshot => {
  const text = encodeSnapshot({ position: tail.position(), state: tail.state() });
  const decoded = decodeSnapshot("t", text);
  if (!decoded.ok) throw new Error(decoded.reason);
  return decoded.snapshot;
};

/** A tail that stands at the end of a log of six records. */
async function following() {
  const world = new World();
  await world.fill(5);
  const tail = world.tail();
  await world.clock.advance(0);
  expect(tail.view()).toMatchObject({ seq: 6, head: 6, caughtUp: true, damage: null });
  return { world, tail };
}

describe("a tail", () => {
  test("folds what there is, then what comes", async () => {
    const { world, tail } = await following();
    await world.write(reserve(9));
    await world.clock.advance(0);
    expect(tail.view()).toMatchObject({ seq: 7, head: 7, connected: true, trouble: null });
    expect(world.folded).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(tail.state().reservations.has("10.5.9.0/24")).toBe(true);
    world.stop.abort();
    await world.clock.advance(LONG_MS);
    expect(world.clock.pending).toBe(0);
  });

  test("knows the time of the log by what passed since its last record", async () => {
    const { world, tail } = await following();
    const { timeMs } = tail.state();
    await world.clock.advance(5000);
    expect(tail.logNowMs()).toBe(timeMs + 5000);
  });

  test("that starts at the end of a log knows the time at least from its last record", async () => {
    const { world, tail } = await following();
    const snapshot = snapshotOf(tail);
    world.stop.abort();
    await world.clock.advance(3600_000);
    const second = createTail({ ...deps(world), snapshot });
    expect(second.logNowMs()).toBe(0);
    void second.run(new AbortController().signal);
    await world.clock.advance(1000);
    expect(second.logNowMs()).toBe(snapshot.state.timeMs + 1000);
  });

  test("has caught up when it passed the head that it found, not before", async () => {
    const world = new World();
    await world.fill(3);
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { log } = world.client;
    world.log = {
      ...log,
      read: async function* (...range) {
        await held;
        for await (const batch of log.read(...range)) for (const each of batch) yield [each];
      },
    };
    const tail = world.tail();
    await world.clock.advance(0);
    expect(tail.view()).toMatchObject({ seq: 0, head: 4, caughtUp: false, connected: true });
    release();
    await world.clock.advance(0);
    expect(tail.view()).toMatchObject({ seq: 4, caughtUp: true });
  });

  test("of an empty log has caught up at once", async () => {
    const world = new World();
    const tail = world.tail();
    expect(tail.view().caughtUp).toBe(false);
    await world.clock.advance(0);
    expect(tail.view()).toMatchObject({ seq: 0, caughtUp: true });
  });

  test("that cannot read at first tries until it can, not caught up before (W5)", async () => {
    const world = new World();
    await world.fill(3);
    world.client.partition(true);
    const tail = world.tail();
    await world.clock.advance(5000);
    expect(tail.view()).toMatchObject({ caughtUp: false, connected: false, damage: null });
    expect(tail.view().trouble?.kind).toBe("unreachable");
    world.client.partition(false);
    await world.clock.advance(LONG_MS);
    expect(tail.view()).toMatchObject({ caughtUp: true, connected: true, trouble: null, seq: 4 });
  });

  test("goes on after its reader broke, without a record twice or left out", async () => {
    const { world, tail } = await following();
    for (let i = 0; i < 5; i++) {
      world.memory.breakReaders();
      await world.write(reserve(20 + i));
      await world.clock.advance(LONG_MS);
    }
    expect(tail.view()).toMatchObject({ seq: 11, caughtUp: true, damage: null });
    expect(world.folded).toEqual(Array.from({ length: 11 }, (_, i) => i + 1));
  });

  test("from a snapshot folds only what came after it", async () => {
    const { world, tail } = await following();
    const snapshot = snapshotOf(tail);
    await world.write(reserve(9));
    await world.clock.advance(0);
    world.folded.length = 0;
    const second = world.tail(snapshot);
    await world.clock.advance(0);
    expect(world.folded).toEqual([7]);
    expect(second.position()).toEqual(tail.position());
    expect(stateDocument(second.state())).toEqual(stateDocument(tail.state()));
  });
});

function deps(world: World) {
  const quiet = { onFolded: () => undefined, onChange: () => undefined };
  return { log: world.log, clock: world.clock, fabric: "t", ...quiet };
}

/** What happened to the log, and what the tail says about it. */
const damages: readonly (readonly [string, (world: World) => Promise<void> | void, RegExp])[] = [
  ["is gone", (world) => world.memory.remove(), /^the stream is gone$/],
  ["was made again", (world) => world.memory.recreate(), /^the stream was recreated at memory-2/],
  [
    "was made again and is longer than before",
    async (world) => {
      world.memory.recreate();
      await world.fill(20, 100);
    },
    /^the stream was recreated at memory-2/,
  ],
  ["went backwards", (world) => world.memory.loseTail(2), /^the log went backwards: .* 4, 6 is/],
  [
    "lost records and got others in their place",
    async (world) => {
      world.memory.loseTail(2);
      await world.write(reserve(50), reserve(51), reserve(52));
    },
    /^the log was rewritten: sequence 6 is not the one that was applied$/,
  ],
];

describe("a log that", () => {
  test.each(damages)("%s freezes the tail until it is good again", async (_, harm, reason) => {
    const { world, tail } = await following();
    const good = world.memory.copy();
    const before = stateDocument(tail.state());
    await harm(world);
    await world.clock.advance(LONG_MS);
    expect(tail.view().damage).toMatch(reason);
    expect(tail.view()).toMatchObject({ seq: 6, followedSinceMs: null });
    expect(stateDocument(tail.state())).toEqual(before);
    expect(world.folded.length).toBe(6);

    world.memory.rewind(good);
    await world.write(reserve(60));
    await world.clock.advance(LONG_MS);
    expect(tail.view()).toMatchObject({ seq: 7, damage: null, caughtUp: true, connected: true });
    expect(world.folded).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  test.each(damages)("%s is recognised from a snapshot", async (_, harm, reason) => {
    const { world, tail } = await following();
    const snapshot = snapshotOf(tail);
    world.stop.abort();
    await harm(world);
    const second = createTail({ ...deps(world), snapshot });
    void second.run(new AbortController().signal);
    await world.clock.advance(LONG_MS);
    expect(second.view().damage).toMatch(reason);
    expect(second.view()).toMatchObject({ seq: 6, caughtUp: false });
  });

  test("was cut off below our place is not folded from the middle", async () => {
    const { world } = await following();
    const { log } = world.client;
    const info = async () => ({ ...(await log.info()), firstSeq: 4 });
    const fresh = createTail({ ...deps(world), log: { ...log, info }, snapshot: null });
    void fresh.run(new AbortController().signal);
    await world.clock.advance(LONG_MS);
    expect(fresh.view()).toMatchObject({
      seq: 0,
      damage: "the log was cut off: it begins at sequence 4, 0 is applied",
    });
  });

  test("has lost the record we stand on is not followed", async () => {
    const { world, tail } = await following();
    const snapshot = snapshotOf(tail);
    const log = { ...world.client.log, get: () => Promise.resolve(null) };
    const second = createTail({ ...deps(world), log, snapshot });
    void second.run(new AbortController().signal);
    await world.clock.advance(LONG_MS);
    expect(second.view().damage).toBe("the log does not hold sequence 6, which is applied");
  });

  test("is replaced between the check and the first batch is not folded", async () => {
    const { world, tail } = await following();
    const snapshot = snapshotOf(tail);
    const { log } = world.client;
    let swapped = false;
    const read: EventLog["read"] = async function* (...range) {
      if (!swapped) {
        swapped = true;
        world.memory.recreate();
        await world.fill(20, 100);
      }
      yield* log.read(...range);
    };
    const folded: number[] = [];
    const second = createTail({
      ...deps(world),
      log: { ...log, read },
      snapshot,
      onFolded: ({ seq }) => folded.push(seq),
    });
    void second.run(new AbortController().signal);
    await world.clock.advance(LONG_MS);
    expect(second.view().damage).toMatch(/^the stream was recreated/);
    expect(folded).toEqual([]);
  });

  test("leaves a record out is not followed over the hole", async () => {
    const world = new World();
    await world.fill(5);
    const { log } = world.client;
    const read: EventLog["read"] = async function* (...range) {
      for await (const batch of log.read(...range)) yield batch.filter(({ seq }) => seq !== 3);
    };
    world.log = { ...log, read };
    const tail = world.tail();
    await world.clock.advance(0);
    expect(tail.view()).toMatchObject({ seq: 2, damage: "after 2 came 4" });
  });
});

describe("a log that was never folded", () => {
  test("may be made again before its first record", async () => {
    const world = new World();
    const tail = world.tail();
    await world.clock.advance(0);
    world.memory.recreate();
    await world.fill(2);
    await world.clock.advance(LONG_MS);
    expect(tail.view()).toMatchObject({ seq: 3, damage: null });
    expect(tail.position().created).toBe("memory-2");
  });

  test("and does not exist is waited for", async () => {
    const world = new World();
    world.memory.remove();
    const tail = world.tail();
    await world.clock.advance(5000);
    expect(tail.view()).toMatchObject({ damage: null, caughtUp: false });
    expect(tail.view().trouble?.kind).toBe("missing");
    world.memory.recreate();
    await world.clock.advance(LONG_MS);
    expect(tail.view()).toMatchObject({ caughtUp: true, trouble: null });
  });
});

describe("a new log that an operator accepts", () => {
  test("is folded from its first record", async () => {
    const { world, tail } = await following();
    world.memory.recreate();
    await world.fill(1, 77);
    await world.clock.advance(LONG_MS);
    tail.accept();
    expect(tail.view()).toMatchObject({ seq: 0, damage: null, caughtUp: false });
    await world.clock.advance(LONG_MS);
    expect(tail.view()).toMatchObject({ seq: 2, damage: null, caughtUp: true });
    expect([...tail.state().reservations.keys()]).toEqual(["10.5.77.0/24"]);
    expect(tail.position().created).toBe("memory-2");
  });

  test("is not mixed with a batch of the old one that was under way", async () => {
    const { world } = await following();
    const { log } = world.client;
    let send: (batch: readonly Recorded[]) => void = () => undefined;
    const read: EventLog["read"] = async function* (...range) {
      if (range[0] === 1) yield* log.read(...range);
      yield await new Promise<readonly Recorded[]>((resolve) => {
        send = resolve;
      });
    };
    const first = createTail({ ...deps(world), snapshot: null });
    void first.run(world.stop.signal);
    await world.clock.advance(0);
    const second = createTail({
      ...deps(world),
      log: { ...log, read },
      snapshot: snapshotOf(first),
    });
    void second.run(new AbortController().signal);
    await world.clock.advance(0);
    await world.write(reserve(88));
    const seventh = await log.get(7);
    if (seventh === null) throw new Error("no record 7");
    second.accept();
    send([seventh]);
    await world.clock.advance(0);
    expect(second.view()).toMatchObject({ seq: 0, damage: null });
    await world.clock.advance(LONG_MS);
    expect(second.view()).toMatchObject({ seq: 7, damage: null, caughtUp: true });
  });
});

test("any faults of the log leave the state of the whole log", async () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const world = new World();
    const memory = new MemoryLog(world.clock, {
      seed,
      faults: { delayMsMax: 40, readerFails: 0.3 },
    });
    const { log } = memory.client();
    const writer = memory.client().log;
    const tail = createTail({ ...deps(world), log, snapshot: null });
    void tail.run(world.stop.signal);
    for (let i = 0; i < 40; i++) {
      const draft = i === 0 ? config : reserve(i);
      const payload = encode(draft, `${i}`);
      void writer.append({ subject: subjectOf("t", draft), payload, id: `${i}` });
      await world.clock.advance(300);
    }
    memory.setFaults({});
    await world.clock.advance(LONG_MS);
    expect(tail.view()).toMatchObject({ seq: 40, damage: null, caughtUp: true });
    expect(tail.state().reservations.size).toBe(39);
    world.stop.abort();
  }
});
