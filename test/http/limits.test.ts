// What one client may take of the server: how often it may ask, how much it may send.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { RateLimit } from "../../src/http/rate.ts";
import { TestHook } from "../support/hook.ts";
import { manualClock } from "../support/manual-clock.ts";

let hook: TestHook;

beforeAll(async () => {
  hook = await TestHook.start();
});

afterAll(() => hook.close());

test("after its burst a key may ask at its rate, whatever others do", async () => {
  const clock = manualClock();
  const limit = new RateLimit(clock, { perSecond: 10, burst: 3 });
  const take = (key: string): boolean => limit.take(key) === null;
  expect([take("a"), take("a"), take("a"), take("a")]).toEqual([true, true, true, false]);
  expect(limit.take("a")).toBe(100);
  expect(take("b")).toBe(true);
  await clock.advance(100);
  expect([take("a"), take("a")]).toEqual([true, false]);
  await clock.advance(60_000);
  expect([take("a"), take("a"), take("a"), take("a")]).toEqual([true, true, true, false]);
});

test("keys beyond what is remembered start anew, and memory is bounded", () => {
  const limit = new RateLimit(manualClock(), { perSecond: 1, burst: 1 });
  expect(limit.take("first")).toBeNull();
  expect(limit.take("first")).not.toBeNull();
  for (let i = 0; i < 10_000; i++) limit.take(`other ${i}`);
  expect(limit.take("first")).toBeNull();
});

test("whoever guesses at tokens is told to wait, and whoever has one is not", async () => {
  const headers = { authorization: "Bearer guess" };
  const asks = Array.from({ length: 120 }, () => hook.ask("/v1/peers", { as: null, headers }));
  const answers = await Promise.all(asks);
  const statuses = new Set(answers.map(({ status }) => status));
  expect(statuses).toEqual(new Set([401, 429]));
  const late = answers.find(({ status }) => status === 429);
  expect(Number(late?.headers.get("retry-after"))).toBeGreaterThan(0);
  expect(late?.headers.get("content-type")).toBe("application/problem+json");
  expect((await hook.ask("/v1/peers")).status).toBe(200);
});

test("a body that does not say how long it is ends at the same limit", async () => {
  const body = new ReadableStream({
    start(controller) {
      for (let i = 0; i < 80; i++) controller.enqueue(new Uint8Array(1024).fill(32));
      controller.close();
    },
  });
  const answer = await fetch(`${hook.url}/v1/peers`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${hook.token("write")}`,
      "content-type": "application/json",
    },
    body,
  });
  expect([answer.status, await answer.json()]).toMatchObject([
    413,
    { detail: "the body is larger than 65536 bytes" },
  ]);
});

test("headers beyond 16 KiB are refused", async () => {
  const headers = { "x-large": "x".repeat(20_000) };
  expect((await hook.ask("/v1/peers", { headers })).status).toBe(431);
});
