// The tunnel between two hosts on the real kernel, seen through the kernel's own tools.

import { describe, expect, test } from "bun:test";
import { requireRoot } from "../support/netns.ts";
import { makeTunnelPair, podIp } from "../support/tunnel.ts";

const root = requireRoot("the tunnel");

describe.if(root)("two hosts joined by the tunnel", () => {
  test("pods reach each other over IPv4 and IPv6", () => {
    using pair = makeTunnelPair();
    const { one, two } = pair;
    one.pod.exec(["ping", "-c", "3", "-i", "0.01", "-W", "2", podIp(2)]);
    one.pod.exec(["ping", "-c", "3", "-i", "0.01", "-W", "2", podIp(2, 6)]);
    const sent = one.tunnel.counters();
    expect(sent.total.tx_packets).toBeGreaterThanOrEqual(6);
    expect(sent.peers.get("h2")?.rxPackets).toBeGreaterThanOrEqual(6);
    expect(two.tunnel.counters().total.rx_packets).toBeGreaterThanOrEqual(6);
  });
});
