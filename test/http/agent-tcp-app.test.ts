// The reads of an agent on a TCP port: who may, and what is not to be had there.

import { expect, test } from "bun:test";
import type { AgentPort } from "../../src/agent/agent-port.ts";
import { createAgentTcpApp } from "../../src/http/agent-tcp-app.ts";
import { newToken } from "../../src/http/bearer.ts";
import { history } from "../support/history.ts";
import { manualClock } from "../support/manual-clock.ts";

const NOW = Date.parse("2026-01-01T00:00:00Z");
const good = newToken("prometheus");
const old = newToken("old");

const state = history("f")
  .config({ Network: "10.5.0.0/16" })
  .append({
    type: "TokenCreated",
    data: { name: "prometheus", hash: good.hash, scopes: ["read"], expiresAt: null },
  })
  .append({
    type: "TokenCreated",
    data: { name: "old", hash: old.hash, scopes: ["read"], expiresAt: "2026-01-01T00:00:00.000Z" },
  })
  .state();

const unused = (): never => {
  throw new Error("not used");
};

const agent = {
  status: () => ({ state: "degraded", problems: ["no lease"] }),
  health: () => ({ state: "degraded", problems: ["no lease"] }),
  ops: unused,
  found: unused,
  state: () => state,
  plan: unused,
  acceptLog: unused,
  leave: unused,
  stop: unused,
} as unknown as AgentPort;

const ask = (path: string, token: string | null, method = "GET") => {
  const app = createAgentTcpApp(agent, { clock: manualClock(), wallMs: () => NOW });
  const headers = token === null ? {} : { authorization: `Bearer ${token}` };
  return app.request(path, { method, headers });
};

test("reads need a token of the fabric that has not ended", async () => {
  expect((await ask("/v1/status", good.text)).status).toBe(200);
  for (const [token, detail] of [
    [null, "this needs a token: Authorization: Bearer TOKEN"],
    [newToken("nobody").text, "the token is unknown or revoked: nobody"],
    [old.text, "the token old expired at 2026-01-01T00:00:00.000Z"],
  ] as const) {
    const answer = await ask("/v1/status", token);
    expect(answer.status).toBe(401);
    expect(answer.headers.get("www-authenticate")).toStartWith('Bearer realm="heddle"');
    expect(await answer.json()).toMatchObject({ detail });
    expect((await ask("/metrics", token)).status).toBe(401);
  }
});

test("health needs none, and says why the host is not ready", async () => {
  expect((await ask("/healthz", null)).status).toBe(200);
  const ready = await ask("/readyz", null);
  expect(ready.status).toBe(503);
  expect(await ready.json()).toMatchObject({ state: "degraded", reasons: ["no lease"] });
});

test("nothing can be changed, whatever the token", async () => {
  for (const path of ["/v1/stop", "/v1/leave", "/v1/resume"]) {
    const answer = await ask(path, good.text, "POST");
    expect(answer.status).toBe(405);
    expect(answer.headers.get("allow")).toBe("GET");
  }
});

test("who has no token and keeps asking is slowed down", async () => {
  const app = createAgentTcpApp(agent, { clock: manualClock(), wallMs: () => NOW });
  const statuses: number[] = [];
  for (let i = 0; i < 200; i++) statuses.push((await app.request("/v1/status")).status);
  expect(new Set(statuses)).toEqual(new Set([401, 429]));
});
