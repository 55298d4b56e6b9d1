// A log that is replaced while a tail is only about to read it.

import { expect, test } from "bun:test";
import { createTail } from "../../src/agent/tail.ts";
import { encode } from "../../src/events/codec.ts";
import type { Draft } from "../../src/events/event.ts";
import type { EventLog } from "../../src/events/log.ts";
import { subjectOf } from "../../src/events/subject.ts";
import { MemoryLog } from "../support/log-memory.ts";
import { manualClock } from "../support/manual-clock.ts";

const LONG_MS = 5000;

function logOf(memory: MemoryLog) {
  const { log } = memory.client();
  const write = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const draft: Draft = { type: "HostRecovered", data: { node: `h${i}` } };
      const subject = subjectOf("t", draft);
      await log.append({ subject, payload: encode(draft, `id-${i}`), id: `id-${i}` });
    }
  };
  return { log, write };
}

test("a tail has caught up with the log that is there, not with one that went before", async () => {
  const clock = manualClock(Date.UTC(2030, 0, 1));
  const memory = new MemoryLog(clock);
  const { log, write } = logOf(memory);
  await write(5);
  let reads = 0;
  const replaced: EventLog = {
    ...log,
    read: async function* (...range) {
      if (++reads === 1) {
        memory.recreate();
        await write(2);
      }
      yield* log.read(...range);
    },
  };
  const stop = new AbortController();
  const ignore = () => undefined;
  const follow = { clock, fabric: "t", snapshot: null, onFolded: ignore, onChange: ignore };
  const tail = createTail({ ...follow, log: replaced });
  void tail.run(stop.signal);
  await clock.advance(LONG_MS);
  expect(tail.view()).toMatchObject({ seq: 2, damage: null, caughtUp: true });
  stop.abort();
});
