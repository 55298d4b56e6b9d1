// The faults of the memory log happen as they are named: a simulation that asks for a fault gets
// it.

import { expect, test } from "bun:test";
import { type EventLog, LogError } from "../../src/events/log.ts";
import { bytes, take, text } from "../support/contract-log.ts";
import { MemoryLog } from "../support/log-memory.ts";
import { manualClock, settle } from "../support/manual-clock.ts";

const message = (id: string) => ({ subject: "heddle.f.x", payload: bytes(id), id });

async function failureOf(log: EventLog, from: number): Promise<unknown> {
  return take(log, from, Number.POSITIVE_INFINITY).catch((error: unknown) => error);
}

async function filled(count: number) {
  const clock = manualClock();
  const memory = new MemoryLog(clock);
  const { log, partition } = memory.client();
  for (let i = 1; i <= count; i++) await log.append(message(`m${i}`));
  return { clock, memory, log, partition };
}

test("an append that reaches the server twice is stored once", async () => {
  const { memory, log } = await filled(0);
  memory.setFaults({ appendTwice: 1 });
  expect(await log.append(message("a"))).toEqual({ ok: true, seq: 1, duplicate: false });
  expect((await log.info()).lastSeq).toBe(1);
});

test("a lost answer is settled as a duplicate", async () => {
  const { memory, log } = await filled(0);
  memory.setFaults({ ackLost: 1 });
  expect(await log.append(message("a"))).toEqual({ ok: true, seq: 1, duplicate: true });
});

test("an unresolved append is stored although its caller was told otherwise", async () => {
  const { memory, log } = await filled(0);
  memory.setFaults({ unresolved: 1 });
  await expect(log.append(message("a"))).rejects.toMatchObject({ kind: "unreachable" });
  expect((await log.info()).lastSeq).toBe(1);
});

test("a lost tail ends readers, and its sequences are given out again", async () => {
  const { memory, log } = await filled(3);
  const reading = failureOf(log, 4);
  await settle();
  memory.loseTail(2);
  expect(await reading).toMatchObject({ kind: "unreachable" });
  expect(await failureOf(log, 4)).toMatchObject({ kind: "gap" });
  expect(await log.append(message("m3"))).toMatchObject({ seq: 2, duplicate: false });
});

test("a log that was made again is empty and another one", async () => {
  const { memory, log } = await filled(3);
  const before = await log.info();
  memory.remove();
  await expect(log.info()).rejects.toMatchObject({ kind: "missing" });
  await expect(log.append(message("x"))).rejects.toMatchObject({ kind: "missing" });
  memory.recreate();
  const after = await log.info();
  expect(after.created).not.toBe(before.created);
  expect(after.lastSeq).toBe(0);
});

test("a rewound log keeps its identity and holds what it held", async () => {
  const { memory, log } = await filled(2);
  const copy = memory.copy();
  const before = await log.info();
  await log.append(message("m3"));
  memory.rewind(copy);
  expect(await log.info()).toEqual(before);
  expect((await take(log, 1, 2)).map(text)).toEqual(["m1", "m2"]);
});

test("a partition cuts off one client and leaves the others", async () => {
  const { memory, log, partition } = await filled(1);
  const reading = failureOf(log, 2);
  await settle();
  partition(true);
  expect(await reading).toMatchObject({ kind: "unreachable" });
  await expect(log.append(message("a"))).rejects.toBeInstanceOf(LogError);
  expect(await memory.client().log.append(message("b"))).toMatchObject({ seq: 2 });
  partition(false);
  expect((await take(log, 1, 2)).map(text)).toEqual(["m1", "b"]);
});

test("a failing reader delivers nothing that it skips later", async () => {
  const { memory, log } = await filled(2);
  memory.setFaults({ readerFails: 1 });
  expect(await failureOf(log, 1)).toMatchObject({ kind: "unreachable" });
  memory.setFaults({});
  expect((await take(log, 1, 2)).map(text)).toEqual(["m1", "m2"]);
});

test("delays pass only when the clock does", async () => {
  const { clock, memory, log } = await filled(0);
  memory.setFaults({ delayMsMax: 1000 });
  let done = false;
  const appending = log.append(message("a")).then(() => {
    done = true;
  });
  await clock.advance(0);
  expect(done).toBeFalse();
  await clock.advance(1000);
  await appending;
});

test("an id is forgotten after the duplicate window", async () => {
  const { clock, log } = await filled(1);
  await clock.advance(119_000);
  expect(await log.append(message("m1"))).toMatchObject({ seq: 1, duplicate: true });
  await clock.advance(2000);
  expect(await log.append(message("m1"))).toMatchObject({ seq: 2, duplicate: false });
});

test("one seed gives one run", async () => {
  const run = async (seed: number) => {
    const memory = new MemoryLog(manualClock(), { seed, faults: { unresolved: 0.5 } });
    const { log } = memory.client();
    const outcomes: boolean[] = [];
    for (let i = 0; i < 40; i++) {
      outcomes.push(
        await log.append(message(`m${i}`)).then(
          () => true,
          () => false,
        ),
      );
    }
    return outcomes.join();
  };
  expect(await run(7)).toBe(await run(7));
  expect(await run(7)).not.toBe(await run(8));
});
