// The tunnel as a router: time exceeded, unreachable, too big, as ping in a pod hears them.

import { describe, expect, test } from "bun:test";
import { requireRoot } from "../support/netns.ts";
import {
  makeTunnelPair,
  podIp,
  type TunnelPair,
  USERSPACE,
  untilValue,
} from "../support/tunnel.ts";

const root = requireRoot("the tunnel's ICMP errors");

/** Until an answer comes that must come. */
const WAIT_S = "5";

/** What ping says, also when nothing comes back. */
function ping(pair: TunnelPair, ...args: string[]): string {
  const command = ["ip", "netns", "exec", pair.one.pod.name, "ping", "-n", "-c", "1", "-W", WAIT_S];
  const { stdout, stderr } = Bun.spawnSync([...command, ...args]);
  return `${stdout}${stderr}`;
}

describe.if(root).each([
  ["the kernel path", {}],
  ["threads only", USERSPACE],
])("a router's errors, by %s", (_name, features) => {
  test("a packet whose TTL ends here is answered, for IPv4 and IPv6", () => {
    using pair = makeTunnelPair({ features });
    expect(ping(pair, "-t", "2", podIp(2))).toMatch(/From 10\.5\.1\.0 .*Time to live exceeded/);
    expect(ping(pair, "-t", "2", podIp(2, 6))).toMatch(/From fd05:1:: .*Hop limit/);
    expect(pair.one.tunnel.counters().total.tx_drop_ttl).toBe(2);
  });

  test("a destination of no peer is unreachable", () => {
    using pair = makeTunnelPair({ features });
    expect(ping(pair, "10.5.77.2")).toMatch(/From 10\.5\.1\.0 .*Destination Net Unreachable/);
    expect(ping(pair, "fd05:77::2")).toMatch(/From fd05:1:: .*[Uu]nreachable/);
    expect(pair.one.tunnel.counters().total.tx_drop_no_peer).toBe(2);
  });

  test("a packet that is too big for the tunnel is answered with the size that fits", () => {
    using pair = makeTunnelPair({ features, mtuBytes: 1300 });
    pair.one.host.ip("link set heddle0 mtu 1472");
    expect(ping(pair, "-M", "do", "-s", "1400", podIp(2))).toMatch(/mtu ?= ?1300/);
    expect(ping(pair, "-M", "do", "-s", "1400", podIp(2, 6))).toMatch(/mtu ?= ?1300/);
    expect(pair.one.tunnel.counters().total.tx_drop_too_big).toBe(2);
  });

  test("without DF a packet that is too big goes through in fragments", () => {
    using pair = makeTunnelPair({ features, mtuBytes: 1300 });
    pair.one.host.ip("link set heddle0 mtu 1472");
    expect(ping(pair, "-M", "dont", "-s", "1400", podIp(2))).toMatch(/1 received/);
    expect(ping(pair, "-M", "dont", "-s", "4000", podIp(2))).toMatch(/1 received/);
  });

  test("errors are limited to a burst of 50", async () => {
    using pair = makeTunnelPair({ features });
    pair.one.pod.exec(["sysctl", "-qw", "net.ipv4.icmp_ratelimit=0"]);
    Bun.spawnSync(
      [
        "ip",
        "netns",
        "exec",
        pair.one.pod.name,
        "ping",
        "-q",
        "-l",
        "400",
        "-c",
        "400",
        "-W",
        "1",
        "10.5.77.2",
      ],
      { stdout: "ignore" },
    );
    const answered = (total: Readonly<Record<string, number>>): number =>
      (total.icmp_sent ?? 0) + (total.icmp_suppressed ?? 0);
    const total = await untilValue(() => {
      const { total: now } = pair.one.tunnel.counters();
      return answered(now) >= 400 ? now : null;
    });
    expect([total.tx_drop_no_peer, answered(total)]).toEqual([400, 400]);
    expect(total.icmp_suppressed).toBeGreaterThan(0);
  });

  test("a source that is not ours does not leave", () => {
    using pair = makeTunnelPair({ features });
    pair.one.pod.ip("addr add 10.99.0.1/32 dev eth0");
    ping(pair, "-W", "1", "-I", "10.99.0.1", podIp(2));
    expect(pair.one.tunnel.counters().total.tx_drop_source).toBeGreaterThan(0);
    expect(pair.two.tunnel.counters().peers.get("h1")?.rxPackets).toBe(0);
  });
});
