// What a host says of its kernel, from the last look of a real loop.

import { afterEach, expect, test } from "bun:test";
import { foundOf } from "../../src/agent/found.ts";
import type { Parts } from "../../src/agent/status-view.ts";
import { host, stopLoops } from "../support/loop-host.ts";

afterEach(stopLoops);

const ROUTE = "10.5.2.0/24 0";

function partsOf({ plan, rounds, log }: ReturnType<typeof host>): Parts {
  const round = rounds.at(-1) ?? null;
  const { seq } = plan;
  const tail = { head: seq, caughtUp: true, connected: true, followedSinceMs: 0, server: "2" };
  return {
    ...{ node: "h1", instance: "boot", version: "1", plan, round, appliedSeq: seq },
    tail: { ...tail, seq, damage: null, trouble: null },
    state: log.state(),
    ...{ fileInPlace: true, problems: [], stopping: false, wasReady: true, healed: 0 },
  };
}

test("a kernel that was found as planned has no difference", async () => {
  const h1 = host();
  await h1.settle();
  expect(foundOf(partsOf(h1), null)).toEqual({
    ...{ node: "h1", state: "ready", problems: [], applied: h1.plan.seq, planned: h1.plan.seq },
    ...{ asWanted: true, differences: [], differenceCount: 0, error: null, failed: [] },
    healed: null,
  });
});

test("what could not be done is a difference, with its command and the reason", async () => {
  const h1 = host();
  h1.kernel.refuse = (op) => (op.key === ROUTE ? "EINVAL Nexthop has invalid gateway" : null);
  await h1.settle();
  const found = foundOf(partsOf(h1), null);
  expect(found.asWanted).toBe(false);
  expect(found.differences).toEqual([
    {
      ...{ noun: "route", problem: "missing", found: null, wanted: expect.any(String) },
      command: expect.stringMatching(/^ip route replace 10\.5\.2\.0\/24 /),
      error: "EINVAL Nexthop has invalid gateway",
    },
  ]);
  expect(found.differenceCount).toBe(1);
  expect(found.failed).toEqual([{ node: "h2", error: expect.stringContaining("EINVAL") }]);
});

test("many differences are counted, and some of them shown", async () => {
  const h1 = host();
  for (let i = 10; i < 110; i++) h1.log.join(`h${i}`).claim(`h${i}`, [`10.5.${i}.0/24`]);
  h1.replan();
  h1.kernel.refuse = (op) => (op.noun === "route" ? "ENOMEM" : null);
  await h1.settle();
  const { differences, differenceCount, failed } = foundOf(partsOf(h1), null);
  expect([differences.length, differenceCount, failed.length]).toEqual([64, 102, 100]);
});

test("what can never be done is told, though the kernel is as planned", async () => {
  const h1 = host();
  h1.log.join("h9", { vtepMac: null }).claim("h9", ["10.5.9.0/24"]);
  h1.replan();
  await h1.settle();
  const { asWanted, differences, failed } = foundOf(partsOf(h1), null);
  expect([asWanted, differences]).toEqual([false, []]);
  expect(failed).toEqual([{ node: "h9", error: expect.any(String) }]);
});

test("a host that has not looked yet does not say that all is well", () => {
  const h1 = host();
  const parts = partsOf(h1);
  expect(foundOf(parts, null)).toMatchObject({ asWanted: false, planned: null });
});
