// What a server tells Prometheus, compared with what was asked of it and with its log.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { createMetrics } from "../../src/http/metrics.ts";
import { until } from "../support/fabric.ts";
import { TestHook } from "../support/hook.ts";
import { deleteStream } from "../support/nats-admin.ts";
import { Scraped } from "../support/prometheus.ts";

const LIMIT_MS = 5000;

let hook: TestHook;

beforeAll(async () => {
  hook = await TestHook.start();
});

afterAll(() => hook.close());

async function scrape(url?: string): Promise<Scraped> {
  const answer = await hook.ask("/metrics", {}, url);
  expect(answer.status).toBe(200);
  expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  return new Scraped(await answer.text());
}

const REQUESTS = "heddle_http_requests_total";
const DURATION = "heddle_http_request_duration_seconds";

test("figures need a token of scope read, as every read does", async () => {
  expect((await hook.ask("/metrics", { as: null })).status).toBe(401);
  expect((await hook.ask("/metrics", { as: "read" })).status).toBe(200);
});

test("requests are counted by route and status, whatever the path held", async () => {
  const before = await scrape();
  const count = (from: Scraped, labels: Record<string, string>): number =>
    from.samples(REQUESTS).find((sample) => Bun.deepEquals(sample.labels, labels))?.value ?? 0;
  const plan = { method: "GET", route: "/v1/hosts/:node/plan", status: "404" };
  const peers = { method: "GET", route: "/v1/peers", status: "200" };
  const refused = { method: "GET", route: "/v1/peers", status: "401" };
  const unknown = { method: "none", route: "none", status: "404" };
  for (const node of ["n1", "n2"]) await hook.ask(`/v1/hosts/${node}/plan`);
  for (let i = 0; i < 3; i++) await hook.ask("/v1/peers");
  await hook.ask("/v1/peers", { as: null });
  await hook.ask("/no/such/path", { method: "PROPFIND" });
  const after = await scrape();
  expect([plan, peers, refused, unknown].map((labels) => count(after, labels))).toEqual(
    [2, 3, 1, 1].map((more, i) => count(before, [plan, peers, refused, unknown][i] ?? {}) + more),
  );
  const routes = after.samples(REQUESTS).map(({ labels }) => labels.route ?? "");
  expect(routes.filter((route) => /n1|such/.test(route))).toEqual([]);
});

test("the time of answers is a histogram by route, of as many as were counted", async () => {
  await hook.ask("/v1/leases");
  const metrics = await scrape();
  const route = { method: "GET", route: "/v1/leases" };
  expect(metrics.value(`${DURATION}_count`, route)).toBe(metrics.value(REQUESTS, route));
  const seconds = metrics.value(`${DURATION}_sum`, route);
  expect(seconds).toBeGreaterThan(0);
  expect(seconds).toBeLessThan(LIMIT_MS / 1000);
});

test("durations are seconds, in the first bucket that holds them", async () => {
  const metrics = createMetrics();
  metrics.request({ method: "GET", route: "/r", status: 200, ms: 2400 });
  const told = new Scraped(await metrics.text());
  expect(told.value(`${DURATION}_sum`, { route: "/r" })).toBe(2.4);
  expect(told.value(`${DURATION}_bucket`, { route: "/r", le: "1" })).toBe(0);
  expect(told.value(`${DURATION}_bucket`, { route: "/r", le: "2.5" })).toBe(1);
});

test("clients that follow are counted for as long as they do", async () => {
  const stop = new AbortController();
  const headers = { accept: "text/event-stream", authorization: `Bearer ${hook.token("read")}` };
  const clients = await Promise.all(
    [1, 2].map(() => fetch(`${hook.url}/v1/events`, { headers, signal: stop.signal })),
  );
  expect(clients.map(({ status }) => status)).toEqual([200, 200]);
  const readers = clients.map(({ body }) => body?.getReader());
  for (const reader of readers) await reader?.read();
  expect((await scrape()).value("heddle_http_stream_clients")).toBe(2);
  stop.abort();
  await until("both are gone", LIMIT_MS, async () => {
    return (await scrape()).value("heddle_http_stream_clients") === 0;
  });
});

test("head, folded sequence, quarantine and checkpoints are the log's", async () => {
  await hook.connection.log.append({
    ...{ subject: "heddle.hook.node.h1.lease", id: "garbage" },
    payload: new TextEncoder().encode("garbage"),
  });
  const { lastSeq } = await hook.connection.log.info();
  await until("the whole log is signed", LIMIT_MS, () => hook.deps.audit.view().signed === lastSeq);
  const metrics = await scrape();
  expect(metrics.value("heddle_server_info", { fabric: "hook", version: "test" })).toBe(1);
  expect(metrics.value("heddle_server_head_sequence")).toBe(lastSeq);
  expect(metrics.value("heddle_server_folded_sequence")).toBe(lastSeq);
  expect(metrics.value("heddle_server_log_connected")).toBe(1);
  expect(metrics.value("heddle_server_log_damaged")).toBe(0);
  expect(metrics.value("heddle_server_quarantined_records")).toBe(1);
  expect(metrics.value("heddle_audit_checkpoint_lag_records")).toBe(0);
  expect(metrics.value("heddle_audit_trouble")).toBe(0);
});

test("deliveries are counted from zero, by outcome", async () => {
  const outcomes = ["delivered", "failed", "dead"] as const;
  const values = async (): Promise<number[]> => {
    const metrics = await scrape();
    return outcomes.map((outcome) => metrics.value("heddle_webhook_deliveries_total", { outcome }));
  };
  expect(await values()).toEqual([0, 0, 0]);
  for (const outcome of ["delivered", "delivered", "dead"] as const) {
    hook.deps.metrics.delivery(outcome);
  }
  expect(await values()).toEqual([2, 0, 1]);
});

test("figures are told while the log is damaged, when other reads are refused", async () => {
  const damaged = await TestHook.start();
  try {
    await deleteStream(damaged.nats.url, "HEDDLE_HOOK");
    await until("the damage is seen", LIMIT_MS, () => damaged.deps.follower.view().damage !== null);
    expect((await damaged.ask("/v1/peers")).status).toBe(503);
    const answer = await damaged.ask("/metrics");
    expect(answer.status).toBe(200);
    expect(new Scraped(await answer.text()).value("heddle_server_log_damaged")).toBe(1);
    const ready = await damaged.ask("/readyz", { as: null });
    expect(ready.status).toBe(503);
    expect(await ready.json()).toMatchObject({ detail: expect.stringContaining("stream") });
    expect((await damaged.ask("/healthz", { as: null })).status).toBe(200);
  } finally {
    await damaged.close();
  }
});
