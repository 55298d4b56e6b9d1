// The userspace tunnel in the human form of status.

import { expect, test } from "bun:test";
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
