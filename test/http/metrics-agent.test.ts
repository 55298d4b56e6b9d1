// What an agent tells Prometheus, compared with what the agent is known to be.

import { expect, test } from "bun:test";
import type { OpCounts } from "../../src/agent/op-counts.ts";
import type { AgentStatus } from "../../src/agent/status.ts";
import { agentMetrics } from "../../src/http/metrics-agent.ts";
import { Scraped } from "../support/prometheus.ts";

const peer = { subnets: [], publicIp: null, path: "direct", error: null } as const;

const status: AgentStatus = {
  node: "h1",
  fabric: "f",
  instance: "i",
  state: "degraded",
  problems: ["peer h3: EINVAL"],
  seq: { applied: 40, head: 42 },
  lease: {
    subnets: ["10.5.1.0/24"],
    epoch: 1,
    renewedAt: "2026-01-01T00:00:00.000Z",
    expiresAt: "2026-01-02T00:00:00.000Z",
  },
  backend: { type: "udp", device: "heddle0", mtu: 1472 },
  peers: [
    { ...peer, node: "h2", state: "applied" },
    { ...peer, node: "h3", state: "failed" },
    { ...peer, node: "h4", state: "applied" },
  ],
  drift: { healed: 3, pending: 1 },
  log: { server: "2.9.10", connected: true, frozen: null },
  quarantined: 2,
  version: 'v"1\\',
  tunnel: {
    device: "heddle0",
    port: 8285,
    listen: [],
    features: [],
    counters: { tx_packets: 9, rx_decap_bytes: 1400, rx_drop_source: 5, icmp_sent: 1 },
    peers: [{ name: "h2", txPackets: 9, txBytes: 1, rxPackets: 1, rxBytes: 1 }],
  },
  misses: { mode: "on-miss", held: 4, hotPeers: 8, answered: 6, unknown: 7, suppressed: 0 },
};

const ops: OpCounts = {
  sent: new Map([
    ["set route", 5],
    ["del neigh", 1],
  ]),
  failed: new Map([["EINVAL", 2]]),
};

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
