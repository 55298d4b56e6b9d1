// What an agent tells Prometheus, compared with what the agent is known to be.

import { expect, test } from "bun:test";
import type { AgentStatus } from "../../src/agent/status.ts";
import { agentMetrics } from "../../src/http/metrics-agent.ts";
import { everyFigure } from "../support/agent-figures.ts";
import { Scraped } from "../support/prometheus.ts";

const { status, ops } = everyFigure;

const scraped = async (part: Partial<AgentStatus> = {}): Promise<Scraped> =>
  new Scraped(await agentMetrics({ ...status, ...part }, ops));

test("an agent's figures are those of its status", async () => {
  const metrics = await scraped();
  const value = metrics.value.bind(metrics);
  expect(value("heddle_agent_info", { node: "h1", fabric: "f", version: 'v"1\\' })).toBe(1);
  expect(value("heddle_agent_state", { state: "degraded" })).toBe(1);
  expect(value("heddle_agent_state", { state: "ready" })).toBe(0);
  expect(value("heddle_agent_problems")).toBe(1);
  expect(value("heddle_agent_applied_sequence")).toBe(40);
  expect(value("heddle_agent_head_sequence")).toBe(42);
  expect(value("heddle_agent_lag_records")).toBe(2);
  expect(value("heddle_agent_log_connected")).toBe(1);
  expect(value("heddle_agent_quarantined_records")).toBe(2);
  expect(value("heddle_agent_lease_expiry_timestamp_seconds")).toBe(1_767_312_000);
  expect(value("heddle_agent_peers_wanted")).toBe(3);
  expect(value("heddle_agent_peers", { state: "applied" })).toBe(2);
  expect(value("heddle_agent_peers", { state: "pending" })).toBe(0);
  expect(value("heddle_agent_peers", { state: "failed" })).toBe(1);
  expect(value("heddle_agent_drift_healed_total")).toBe(3);
  expect(value("heddle_agent_drift_pending")).toBe(1);
  expect(value("heddle_agent_ops_total", { verb: "set", noun: "route" })).toBe(5);
  expect(value("heddle_agent_ops_total", { verb: "del", noun: "neigh" })).toBe(1);
  expect(value("heddle_agent_op_errors_total", { errno: "EINVAL" })).toBe(2);
});

test("the tunnel's counters are by reason, direction and path, and never by peer", async () => {
  const metrics = await scraped();
  const value = metrics.value.bind(metrics);
  const dropped = { direction: "rx", reason: "source" };
  expect(value("heddle_tunnel_dropped_packets_total", dropped)).toBe(5);
  expect(value("heddle_tunnel_packets_total", { direction: "tx", path: "agent" })).toBe(9);
  expect(value("heddle_tunnel_bytes_total", { direction: "rx", path: "kernel" })).toBe(1400);
  expect(value("heddle_tunnel_events_total", { event: "icmp_sent" })).toBe(1);
  const labels = [...metrics.families.values()].flatMap(({ samples }) =>
    samples.flatMap((sample) => Object.values(sample.labels)),
  );
  expect(labels).not.toContain("h2");
});

test("questions of the kernel are counted by what became of them", async () => {
  const metrics = await scraped();
  expect(metrics.value("heddle_misses_total", { outcome: "answered" })).toBe(6);
  expect(metrics.value("heddle_misses_total", { outcome: "unknown" })).toBe(7);
  expect(metrics.value("heddle_misses_held_subnets")).toBe(4);
});

test("what a host does not have is absent, not zero", async () => {
  const { tunnel: _t, misses: _m, ...plain } = status;
  const metrics = new Scraped(await agentMetrics({ ...plain, lease: null, backend: null }, ops));
  const names = [...metrics.names()];
  expect(names.filter((name) => /tunnel|misses|lease/.test(name))).toEqual([]);
  expect(metrics.value("heddle_agent_info", { backend: "none" })).toBe(1);
});

test("a lag is never less than zero", async () => {
  const metrics = await scraped({ seq: { applied: 7, head: 5 } });
  expect(metrics.value("heddle_agent_lag_records")).toBe(0);
});

test("the process tells when it started and what it takes", async () => {
  const metrics = await scraped();
  const nowSeconds = Date.now() / 1000;
  const age = nowSeconds - metrics.value("process_start_time_seconds");
  expect(age).toBeGreaterThan(0);
  expect(Math.abs(age - process.uptime())).toBeLessThan(1);
  expect(metrics.value("process_resident_memory_bytes")).toBeGreaterThan(10 << 20);
  expect(metrics.value("process_cpu_seconds_total")).toBeGreaterThan(0);
});

test("an agent that nobody scrapes does not load the library", async () => {
  const count = "Object.keys(require.cache).filter((path) => path.includes('prom-client')).length";
  const load = (path: string): string => `await import(${JSON.stringify(path)});`;
  const src = new URL("../../src/", import.meta.url).pathname;
  const parts = ["main-agent.ts", "cli/agent.ts", "http/agent-app.ts", "http/agent-tcp-app.ts"];
  const before = parts.map((part) => load(`${src}${part}`)).join("");
  const scrape = load(`${src}http/metrics-agent.ts`);
  const script = `${before} const loaded = ${count}; ${scrape} console.log(loaded, ${count} > 0)`;
  const ran = Bun.spawnSync([process.execPath, "-e", script]);
  expect(ran.stdout.toString()).toBe("0 true\n");
});
