// The contract suite on both logs, and one against the other: whatever a client does, the JetStream
// log answers as the memory log, on which the simulations rely.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Append, Appended, EventLog } from "../../src/events/log.ts";
import { bytes, logContract, take } from "../support/contract-log.ts";
import { MemoryLog } from "../support/log-memory.ts";
import { manualClock } from "../support/manual-clock.ts";
import { TestNats } from "../support/nats.ts";

const EPOCH_MS = 1_700_000_000_000;

let nats: TestNats;
let fabrics = 0;

beforeAll(async () => {
  nats = await TestNats.start();
});
afterAll(() => nats.close());

async function freshFabric(): Promise<string> {
  const fabric = `f${++fabrics}`;
  const connection = await nats.connect(fabric);
  await connection.createStream(1);
  return fabric;
}

logContract("JetStream", async () => {
  const fabric = await freshFabric();
  return {
    fabric,
    client: () => nats.connect(fabric),
    close: async () => undefined,
  };
});

logContract("memory", async () => {
  const memory = new MemoryLog(manualClock(EPOCH_MS));
  return {
    fabric: "f",
    client: async () => memory.client(),
    close: async () => undefined,
  };
});

describe("memory log", () => {
  test("answers any sequence of appends as JetStream does", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(appendOf(), { maxLength: 25 }), async (messages) => {
        const fabric = await freshFabric();
        const real = (await nats.connect(fabric)).log;
        const memory = new MemoryLog(manualClock(EPOCH_MS)).client().log;
        const named = messages.map((message) => ({
          ...message,
          subject: `heddle.${fabric}.${message.subject}`,
        }));
        expect(await outcomes(memory, named)).toEqual(await outcomes(real, named));
        expect(await content(memory)).toEqual(await content(real));
      }),
      { numRuns: 20 },
    );
  });
});

const SUBJECTS = ["node.a.lease", "node.b.lease", "admin.config"];

/**
 * Few ids and subjects, so that repeats and conflicts are common. An id stands for one intent, so
 * it decides the rest: servers from 2.12 on look at the expected sequence before the id, and would
 * answer an id used for two intents differently.
 */
function appendOf(): fc.Arbitrary<Append> {
  return fc.integer({ min: 0, max: 44 }).map((number) => {
    const message = {
      subject: SUBJECTS[number % SUBJECTS.length] ?? "",
      payload: bytes(`p${number}`),
      id: String(number),
    };
    const expected = Math.floor(number / SUBJECTS.length) % 6;
    return expected === 5 ? message : { ...message, expectLastSubjectSeq: expected };
  });
}

async function outcomes(log: EventLog, messages: readonly Append[]): Promise<Appended[]> {
  const answers: Appended[] = [];
  for (const message of messages) answers.push(await log.append(message));
  return answers;
}

async function content(log: EventLog): Promise<string[]> {
  const { lastSeq } = await log.info();
  const records = lastSeq === 0 ? [] : await take(log, 1, lastSeq);
  return records.map(
    (record) => `${record.subject} ${Buffer.from(record.payload).toString("hex")}`,
  );
}
