import { expect, test } from "bun:test";
import { createTail } from "../../src/agent/tail.ts";
import { encode } from "../../src/events/codec.ts";
import type { Draft } from "../../src/events/event.ts";
import type { EventLog, Recorded } from "../../src/events/log.ts";
import { subjectOf } from "../../src/events/subject.ts";
import { MemoryLog } from "../support/log-memory.ts";
import { manualClock } from "../support/manual-clock.ts";

/** The same log each time: a tail's chain over three records, asked for after `ms`. */
async function chainAfter(ms: number, onRead: (payloads: readonly Uint8Array[]) => void) {
  const clock = manualClock(Date.UTC(2030, 0, 1));
  const { log } = new MemoryLog(clock).client();
  for (const name of ["a", "b", "c"]) {
    const draft: Draft = { type: "PeerRemoved", data: { name } };
    await log.append({ subject: subjectOf("t", draft), payload: encode(draft, name), id: name });
  }
  const read: Uint8Array[] = [];
  const copying: EventLog = {
    ...{ info: () => log.info(), get: (seq) => log.get(seq), append: (each) => log.append(each) },
    async *read(from, signal) {
      for await (const batch of log.read(from, signal)) {
        const own = batch.map((each): Recorded => ({ ...each, payload: each.payload.slice() }));
        read.push(...own.map(({ payload }) => payload));
        yield own;
      }
    },
  };
  const none = () => undefined;
  const deps = { log: copying, clock, fabric: "t", snapshot: null };
  const tail = createTail({ ...deps, onFolded: none, onChange: none });
  const stop = new AbortController();
  const done = tail.run(stop.signal);
  await clock.advance(ms);
  expect([tail.view().seq, read.length]).toEqual([3, 3]);
  onRead(read);
  const { chain } = tail.position();
  stop.abort();
  await done;
  return chain;
}

test("what was folded is let go of a second later, though nobody asked for the chain", async () => {
  const chain = await chainAfter(1000, () => undefined);
  // Whoever still has the bytes to hash sees them change.
  const spoil = (read: readonly Uint8Array[]) => {
    for (const payload of read) payload.fill(0);
  };
  expect(await chainAfter(1000, spoil)).toBe(chain);
  expect(await chainAfter(999, spoil)).not.toBe(chain);
});
