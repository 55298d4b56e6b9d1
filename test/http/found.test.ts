// GET /v1/hosts/{node}/found over a real nats-server, with a host that the test plays.

import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Found } from "../../src/agent/found.ts";
import { until } from "../support/fabric.ts";
import { history } from "../support/history.ts";
import { TestHook } from "../support/hook.ts";

const LIMIT_MS = 5000;
const PATH = "/v1/hosts/h1/found";

const found: Found = {
  ...{ node: "h1", state: "degraded", problems: ["peer h2: EINVAL"], applied: 7, planned: 7 },
  asWanted: false,
  differences: [
    {
      ...{ noun: "route", problem: "missing", found: null, wanted: "10.5.2.0/24 dev heddle.1" },
      ...{ command: "ip route replace 10.5.2.0/24 dev heddle.1", error: "EINVAL" },
    },
  ],
  ...{ differenceCount: 1, error: null, failed: [{ node: "h2", error: "EINVAL" }] },
  healed: { time: "2026-01-01T00:00:00.000Z", count: 1, items: [] },
};

let hook: TestHook;

beforeAll(async () => {
  hook = await TestHook.start();
  for (const record of history("hook").join("h1").records) {
    await hook.connection.log.append({ ...record, id: crypto.randomUUID() });
  }
});

afterAll(() => hook.close());

/** What the server answers once the host listens, which says `text` for its part. */
async function answer(text: string): Promise<Response> {
  const stop = new AbortController();
  const say = (): Uint8Array => new TextEncoder().encode(text);
  const listening = hook.connection.foundInquiry.listen("h1", say, stop.signal);
  let last = await hook.ask(PATH);
  await until("it listens", LIMIT_MS, async () => {
    if (!(await last.clone().text()).includes("no agent")) return true;
    last = await hook.ask(PATH);
    return false;
  });
  stop.abort();
  await listening;
  return last;
}

test("a host's own answer is passed on", async () => {
  const response = await answer(JSON.stringify(found));
  expect(response.status).toBe(200);
  expect(await response.json()).toEqual(found);
});

test("a host without an agent is 504, with when it was last heard", async () => {
  const response = await hook.ask(PATH);
  expect(response.status).toBe(504);
  expect(await response.json()).toMatchObject({
    title: "No answer",
    detail: expect.stringMatching(/^no agent of h1 is connected; the log last heard of it at 2\d/),
  });
});

test("an answer that is none is not passed on", async () => {
  for (const text of ["", "{", JSON.stringify({ ...found, applied: -1 })]) {
    const response = await answer(text);
    expect(response.status).toBe(504);
    expect(await response.text()).toContain("the answer of h1 is not understood");
  }
});

test("a host that was never there is 404, and a token is needed", async () => {
  expect((await hook.ask("/v1/hosts/h77/found")).status).toBe(404);
  expect((await hook.ask(PATH, { as: null })).status).toBe(401);
});
