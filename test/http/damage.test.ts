// What the hook says while the log is away, and when it is not the log that it followed.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { until } from "../support/fabric.ts";
import { TestHook } from "../support/hook.ts";

const peer = { name: "lb", subnet: "10.9.0.0/24", publicIp: "198.18.0.9" };

let hook: TestHook;

beforeEach(async () => {
  hook = await TestHook.start();
});

afterEach(() => hook.close());

function add(): Promise<Response> {
  return hook.ask("/v1/peers", { method: "POST", as: "write", body: peer });
}

test("while the log is away reads say that they may be old, and nothing is written", async () => {
  await add();
  await hook.nats.stop();
  await until("noticed", 10_000, async () => (await hook.ask("/readyz")).status === 503);
  const read = await hook.ask("/v1/peers");
  expect([read.status, read.headers.get("heddle-seq")]).toEqual([200, "4"]);
  expect(read.headers.get("heddle-stale")).toContain("connection lost");
  expect(await read.json()).toHaveLength(1);
  // What is over cannot change any more, and what may have come since nobody knows.
  expect((await hook.ask("/v1/state?at=3")).status).toBe(200);
  expect((await hook.ask("/v1/state?at=5")).status).toBe(503);
  expect((await hook.ask("/v1/converged?seq=5")).status).toBe(503);
  const body = { ...peer, name: "lb2", subnet: "10.10.0.0/24", publicIp: "198.18.0.10" };
  const headers = { "idempotency-key": "outage" };
  const asked = { method: "POST", as: "write", body, headers } as const;
  const late = hook.ask("/v1/peers", asked);
  await hook.nats.startAgain();
  // The append may have waited for the server; else the same key is asked again.
  const statuses = [(await late).status, (await hook.ask("/v1/peers", asked)).status];
  expect([200, 503]).toContain(statuses[0] ?? 0);
  expect(statuses[1]).toBe(200);
  expect((await hook.get<{ head: number }>("/v1/events")).head).toBe(5);
});

test("a log that lost its end is told as damaged, not answered from", async () => {
  await hook.nats.stop();
  const copy = await hook.nats.copyStore();
  await hook.nats.startAgain();
  await until("followed", 10_000, async () => (await hook.ask("/readyz")).status === 200);
  expect((await add()).status).toBe(200);
  await hook.nats.stop();
  await hook.nats.restoreStore(copy);
  await hook.nats.startAgain();
  await until("noticed", 10_000, async () => {
    const answer = await hook.ask("/v1/peers");
    return answer.status === 503 && (await answer.text()).includes("the log went backwards");
  });
  for (const path of ["/v1/state", "/v1/state?at=2", "/v1/events", "/v1/converged?seq=1"]) {
    const answer = await hook.ask(path);
    expect([path, answer.status]).toEqual([path, 503]);
    expect(await answer.json()).toMatchObject({
      detail: expect.stringContaining("the log is damaged: the log went backwards"),
    });
  }
  expect((await add()).status).toBe(503);
});
