// The agent's HTTP surface over a stand-in for the agent: routes, documents, problems.

import { expect, test } from "bun:test";
import type { AgentPort } from "../../src/agent/agent-port.ts";
import type { Found } from "../../src/agent/found.ts";
import type { AgentStatus } from "../../src/agent/status.ts";
import { LogError } from "../../src/events/log.ts";
import { createAgentApp } from "../../src/http/agent-app.ts";
import { desired } from "../../src/reconcilers/desired.ts";
import { history } from "../support/history.ts";
import { Scraped } from "../support/prometheus.ts";

const state = history("f")
  .config({ Network: "10.5.0.0/16" })
  .join("h1")
  .claim("h1", ["10.5.3.0/24"])
  .join("h2")
  .claim("h2", ["10.5.7.0/24"])
  .peer("lb", "10.9.0.0/24", "198.18.9.9")
  .state();

const status: AgentStatus = {
  node: "h1",
  fabric: "f",
  instance: "i",
  state: "ready",
  problems: [],
  seq: { applied: 6, head: 6 },
  lease: null,
  backend: null,
  peers: [],
  drift: { healed: 0, pending: 0 },
  log: { server: "2.9.10", connected: true, frozen: null },
  quarantined: 0,
  version: "test",
};

const found: Found = {
  ...{ node: "h1", state: "ready", problems: [], applied: 6, planned: 6, asWanted: true },
  ...{ differences: [], differenceCount: 0, error: null, failed: [], healed: null },
};

interface Called {
  readonly calls: string[];
  readonly app: ReturnType<typeof createAgentApp>;
}

function appWith(part: Partial<AgentPort> = {}): Called {
  const calls: string[] = [];
  const app = createAgentApp({
    status: () => status,
    health: () => status,
    ops: () => ({ sent: new Map([["set route", 2]]), failed: new Map() }),
    found: () => found,
    state: () => state,
    plan: () => desired(state, "h1"),
    acceptLog: () => true,
    leave: async (reason) => void calls.push(`leave: ${reason}`),
    stop: async () => void calls.push("stop"),
    ...part,
  });
  return { calls, app };
}

test("reads answer with the views of the folded log", async () => {
  const { app } = appWith();
  const get = async (path: string): Promise<unknown> => (await app.request(path)).json();
  expect(await get("/v1/status")).toEqual(status);
  expect(await get("/v1/state")).toMatchObject({ fabric: "f", seq: 6, time: expect.any(String) });
  expect(await get("/v1/nodes")).toMatchObject([{ node: "h1" }, { node: "h2" }]);
  expect(await get("/v1/leases")).toMatchObject([{ subnets: ["10.5.3.0/24"] }, { node: "h2" }]);
  expect(await get("/v1/peers")).toMatchObject([{ name: "lb", subnet: "10.9.0.0/24" }]);
  expect(await get("/v1/plan")).toMatchObject({
    node: "h1",
    kernel: { routes: [{ dst: "10.5.7.0/24" }] },
  });
  expect(await get("/v1/found")).toEqual(found);
  expect(await get("/healthz")).toEqual({ ok: true });
});

test("metrics are in Prometheus's text format, of the status at that moment", async () => {
  const answer = await appWith().app.request("/metrics");
  expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  const metrics = new Scraped(await answer.text());
  expect(metrics.value("heddle_agent_applied_sequence")).toBe(6);
  expect(metrics.value("heddle_agent_ops_total", { verb: "set", noun: "route" })).toBe(2);
});

test("readyz is 200 only when ready, and otherwise says why not", async () => {
  expect((await appWith().app.request("/readyz")).status).toBe(200);
  const frozen = { ...status, state: "frozen", problems: ["frozen: stream is gone"] } as const;
  const answer = await appWith({ health: () => frozen }).app.request("/readyz");
  expect(answer.status).toBe(503);
  expect(answer.headers.get("content-type")).toBe("application/problem+json");
  expect(await answer.json()).toMatchObject({
    status: 503,
    state: "frozen",
    reasons: ["frozen: stream is gone"],
  });
});

test("a plan that is not there yet is a problem, not an empty plan", async () => {
  const answer = await appWith({ plan: () => null }).app.request("/v1/plan");
  expect(answer.status).toBe(503);
  expect(await answer.json()).toMatchObject({ title: "Not ready", detail: "there is no plan yet" });
});

test("leave waits for the log, stop answers before the agent ends", async () => {
  const stopped = Promise.withResolvers<void>();
  const { app, calls } = appWith({ stop: async () => stopped.resolve() });
  expect((await app.request("/v1/leave", { method: "POST" })).status).toBe(200);
  expect(calls).toEqual(["leave: asked to leave"]);
  const stop = await app.request("/v1/stop", { method: "POST" });
  expect(stop.status).toBe(202);
  expect(Bun.peek.status(stopped.promise)).toBe("pending");
  await stopped.promise;
});

test("resume of an agent that is not frozen is a conflict", async () => {
  expect((await appWith().app.request("/v1/resume", { method: "POST" })).status).toBe(200);
  const { app } = appWith({ acceptLog: () => false });
  const answer = await app.request("/v1/resume", { method: "POST" });
  expect(answer.status).toBe(409);
  expect(await answer.json()).toMatchObject({ detail: "the agent is not frozen" });
});

test("a log that is away is 503, any other failure 500, both as problems", async () => {
  for (const [error, code] of [
    [new LogError("unreachable", "no server"), 503],
    [new Error("broken"), 500],
  ] as const) {
    const { app } = appWith({ leave: () => Promise.reject(error) });
    const answer = await app.request("/v1/leave", { method: "POST" });
    expect(answer.status).toBe(code);
    expect(await answer.json()).toMatchObject({ status: code, detail: error.message });
  }
});

test("what does not exist is a problem that names it", async () => {
  const { app } = appWith();
  for (const [method, path] of [
    ["GET", "/v1/nothing"],
    ["POST", "/v1/status"],
  ] as const) {
    const answer = await app.request(path, { method });
    expect(answer.status).toBe(404);
    expect(await answer.json()).toMatchObject({ detail: `no such resource: ${method} ${path}` });
  }
});
