// The skeleton of the hook: authentication, problems, the document, reads at the head, health.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { newToken } from "../../src/http/bearer.ts";
import { TestHook } from "../support/hook.ts";

let hook: TestHook;

beforeAll(async () => {
  hook = await TestHook.start();
});

afterAll(() => hook.close());

test("reads need a token, and the refusal says how to send one", async () => {
  const answer = await hook.ask("/v1/peers", { as: null });
  expect(answer.status).toBe(401);
  expect(answer.headers.get("content-type")).toBe("application/problem+json");
  expect(answer.headers.get("www-authenticate")).toBe('Bearer realm="heddle"');
  expect(await answer.json()).toEqual({
    type: "about:blank",
    title: "Not authenticated",
    status: 401,
    detail: "this needs a token: Authorization: Bearer TOKEN",
  });
});

test("a malformed, unknown, wrong or revoked token is refused by its name alone", async () => {
  const { text, hash } = newToken("brief");
  await hook.append({
    type: "TokenCreated",
    data: { name: "brief", hash, scopes: ["read"], expiresAt: null },
  });
  const ask = (token: string) =>
    hook.ask("/v1/peers", { as: null, headers: { authorization: `Bearer ${token}` } });
  expect((await ask(text)).status).toBe(200);
  const wrong = `${text.slice(0, -1)}${text.endsWith("A") ? "B" : "A"}`;
  for (const [token, detail] of [
    ["abc", "the bearer token is not one of Heddle's"],
    [newToken("nobody").text, "the token is unknown or revoked: nobody"],
    [wrong, "the token is unknown or revoked: brief"],
  ] as const) {
    const answer = await ask(token);
    expect(answer.status).toBe(401);
    expect(await answer.json()).toMatchObject({ detail });
  }
  await hook.append({ type: "TokenRevoked", data: { name: "brief" } });
  await hook.get("/v1/peers");
  expect((await ask(text)).status).toBe(401);
  expect(hook.logged.join()).not.toContain(text.slice(-20));
});

test("a token ends at its time", async () => {
  const { text, hash } = newToken("short");
  const expiresAt = new Date(Date.now() + 60_000).toISOString();
  const data = { name: "short", hash, scopes: ["read" as const], expiresAt };
  await hook.append({ type: "TokenCreated", data });
  const headers = { authorization: `Bearer ${text}` };
  expect((await hook.ask("/v1/peers", { as: null, headers })).status).toBe(200);
  const later = await hook.another({ wallMs: () => Date.now() + 61_000 });
  const answer = await hook.ask("/v1/peers", { as: null, headers }, later.tcp.url);
  expect(answer.status).toBe(401);
  expect(await answer.json()).toMatchObject({ detail: `the token short expired at ${expiresAt}` });
});

test("a read sees what was appended before it was asked, and says at which sequence", async () => {
  const peer = { name: "lb", subnet: "10.9.0.0/24", publicIp: "198.18.9.9", vtepMac: null };
  const seq = await hook.append({ type: "PeerAdded", data: peer });
  const answer = await hook.ask("/v1/peers");
  expect(Number(answer.headers.get("heddle-seq"))).toBeGreaterThanOrEqual(seq);
  expect(answer.headers.get("heddle-stale")).toBeNull();
  expect(await answer.json()).toEqual([peer]);
});

test("the state shows tokens without their hashes", async () => {
  const state = await hook.get<{ tokens: readonly object[] }>("/v1/state");
  expect(state.tokens).toContainEqual({ name: "read", scopes: ["read"], expiresAt: null });
  expect(JSON.stringify(state)).not.toContain("hash");
});

test("the document describes every route with its scope and its refusals", async () => {
  const document = await hook.get<{
    openapi: string;
    paths: Record<string, Record<string, { security?: object[]; responses: object }>>;
  }>("/openapi.json", { as: null });
  expect(document.openapi).toBe("3.1.0");
  expect(Object.keys(document.paths)).toContain("/v1/peers");
  for (const [path, item] of Object.entries(document.paths)) {
    if (!path.startsWith("/v1/")) continue;
    for (const operation of Object.values(item)) {
      expect(operation.security).toEqual([{ bearer: [expect.any(String)] }]);
      expect(Object.keys(operation.responses)).toEqual(
        expect.arrayContaining(["401", "403", "429", "503"]),
      );
    }
  }
});

test("health needs no token; ready means that the log was read to its end", async () => {
  expect(await hook.get<object>("/healthz", { as: null })).toEqual({ ok: true });
  expect(await hook.get<object>("/readyz", { as: null })).toMatchObject({
    seq: expect.any(Number),
  });
});

test("what does not exist is a problem that names it", async () => {
  const answer = await hook.ask("/v1/nothing");
  expect(answer.status).toBe(404);
  expect(await answer.json()).toMatchObject({ detail: "no such resource: GET /v1/nothing" });
});
