// The userspace tunnel in the human form of status.

import { expect, test } from "bun:test";
import type { AgentStatus } from "../../src/agent/status.ts";
import { statusLines } from "../../src/cli/status.ts";
import { tunnelLines } from "../../src/cli/tunnel-lines.ts";

const tunnel = {
  device: "heddle0",
  port: 8285,
  listen: ["198.18.0.1", "2001:db8::1"],
  features: [
    { name: "vnet-header", on: true, reason: null },
    { name: "kernel-encap", on: false, reason: "EPERM" },
    { name: "tun-napi", on: false, reason: "not wanted" },
  ],
  counters: { tx_packets: 5, tx_drop_ttl: 0, rx_drop_source: 3 },
  peers: [],
};

test("a tunnel tells what it uses, what it lacks and why, and what it dropped", () => {
  expect(tunnelLines(tunnel)).toEqual([
    "tunnel      udp port 8285 on 198.18.0.1 2001:db8::1",
    "uses        vnet-header",
    "lacks       kernel-encap (EPERM)",
    "dropped     rx_drop_source 3",
  ]);
});

test("a tunnel that lacks and dropped nothing says so", () => {
  const [feature] = tunnel.features;
  const features = feature === undefined ? [] : [feature];
  const lines = tunnelLines({ ...tunnel, features, counters: { rx_packets: 1 } });
  expect(lines.slice(2)).toEqual(["lacks       nothing", "dropped     nothing"]);
});

test("a peer's line tells what passed to and from it, where the tunnel counts that", () => {
  const peer = { node: "h2", subnets: ["10.5.2.0/24"], publicIp: "198.18.0.2", error: null };
  const status: AgentStatus = {
    node: "h1",
    fabric: "default",
    instance: "boot",
    version: "1",
    state: "ready",
    seq: { applied: 4, head: 4 },
    lease: null,
    backend: { type: "udp", device: "heddle0", mtu: 1472 },
    peers: [{ ...peer, path: "udp", state: "applied" }],
    drift: { healed: 0, pending: 0 },
    log: { server: null, connected: true, frozen: null },
    problems: [],
    quarantined: 0,
  };
  const traffic = { name: "h2", txPackets: 12, txBytes: 900, rxPackets: 7, rxBytes: 800 };
  const counted = statusLines({ ...status, tunnel: { ...tunnel, peers: [traffic] } });
  expect(counted.slice(-2).map((line) => line.split(/ +/).join(" ").trim())).toEqual([
    "PEER SUBNETS PUBLIC IP PATH SENT RECEIVED STATE ERROR",
    "h2 10.5.2.0/24 198.18.0.2 udp 12 7 applied",
  ]);
  expect(statusLines(status).at(-2)).not.toContain("SENT");
});
