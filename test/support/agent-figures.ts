// An agent of which everything is known that an agent can tell: a lease, failed peers, a tunnel,
// entries on demand, ops that failed. No real host has all of it at once.

import type { OpCounts } from "../../src/agent/op-counts.ts";
import type { AgentStatus } from "../../src/agent/status.ts";

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
  misses: {
    ...{ mode: "on-miss", held: 4, hotPeers: 8, answered: 6, unknown: 7, suppressed: 0 },
    path: { by: "thread", realtime: true },
  },
};

const ops: OpCounts = {
  sent: new Map([
    ["set route", 5],
    ["del neigh", 1],
  ]),
  failed: new Map([["EINVAL", 2]]),
};

export const everyFigure = { status, ops } as const;
