// What a host held on demand at any point of the past, as the server tells it.

import { afterAll, expect, test } from "bun:test";
import type { EventLog } from "../../src/events/log.ts";
import { createFollower } from "../../src/http/follower.ts";
import { History } from "../../src/http/history.ts";
import { history as storyOf } from "../support/history.ts";
import { realClock } from "../support/real-clock.ts";

const [A, B] = ["10.5.1.0/24", "10.5.2.0/24"] as const;
const stop = new AbortController();
afterAll(() => stop.abort());

test("the server tells what a host held, and follows nobody for it", async () => {
  const story = storyOf("f").config({ Network: "10.5.0.0/16", Backend: { Mode: "on-miss" } });
  story.join("h1").claim("h1", [A]).join("h2").claim("h2", [B]);
  const answered = [{ subnet: B, peer: "h2", waitedUs: 90 }];
  const missed = { node: "h1", answered, unknown: [], suppressed: 0 };
  story.append({ type: "NeighborMissed", data: missed });
  story.append({ type: "NeighborAged", data: { node: "h1", subnets: [B] } });
  const records = story.records;
  const log: EventLog = {
    info: async () => ({ created: "x", firstSeq: 1, lastSeq: records.length, server: "2.9.10" }),
    get: async (seq) => records[seq - 1] ?? null,
    append: () => Promise.reject(new Error("not used")),
    async *read(from, signal) {
      yield records.slice(from - 1);
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    },
  };
  const follower = createFollower({ log, clock: realClock, fabric: "f" });
  const past = new History({ log, fabric: "f", follower, wallMs: () => 0 });
  void follower.run(stop.signal);
  expect(await follower.reached(records.length, 5000)).toBeTrue();
  const heldAt = async (node: string, seq: number) => [
    ...(await past.stateOf(node, seq)).held.subnets,
  ];
  expect(await heldAt("h1", 5)).toEqual([]);
  expect(await heldAt("h1", 6)).toEqual([B]);
  expect(await heldAt("h2", 6)).toEqual([]);
  expect(await heldAt("h1", 7)).toEqual([]);
  expect(follower.state().held).toEqual({ node: null, subnets: new Set() });
});
