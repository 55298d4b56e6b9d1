// Transfers between two hosts through the tunnel on the real kernel, with every feature off alone:
// the plain path always works. The kernel's own tools move and count the bytes.

import { describe, expect, test } from "bun:test";
import { requireRoot } from "../support/netns.ts";
import {
  keepOrder,
  makeTunnelPair,
  ownOf,
  type PairOptions,
  peerOf,
  podIp,
  transfer,
  USERSPACE,
} from "../support/tunnel.ts";

const root = requireRoot("the tunnel");
const MIB = 2 ** 20;

const PATHS: readonly [string, PairOptions][] = [
  ["the kernel path", {}],
  ["threads only", { features: USERSPACE }],
  ["sending in the kernel only", { features: { "kernel-decap": false } }],
  ["receiving in the kernel only", { features: { "kernel-encap": false } }],
  ["plain peers", { capabilities: [] }],
  ["two queues", { features: USERSPACE, queues: 2 }],
  ["an IPv6 underlay", { underlay: 6 }],
  ["nothing optional", { features: nothing() }],
  ...["tun-checksum", "tun-tso4", "tun-uso", "udp-segment", "udp-gro", "tcp-coalesce"].map(
    (name): [string, PairOptions] => [
      `threads without ${name}`,
      { features: { ...USERSPACE, [name]: false } },
    ],
  ),
];

function nothing(): Record<string, boolean> {
  const names = "vnet-header tun-checksum tun-tso4 tun-tso6 tun-uso udp-segment udp-gro";
  const more = "tcp-coalesce udp-coalesce kernel-encap kernel-decap";
  return Object.fromEntries([...names.split(" "), ...more.split(" ")].map((name) => [name, false]));
}

describe.if(root)("a tunnel", () => {
  test.each(PATHS)("carries TCP and UDP whole, by %s", async (_name, options) => {
    using pair = makeTunnelPair(options);
    const { one, two } = pair;
    keepOrder(pair);
    one.pod.exec(["ping", "-c", "2", "-i", "0.01", "-W", "2", podIp(2)]);
    one.pod.exec(["ping", "-c", "2", "-i", "0.01", "-W", "2", podIp(2, 6)]);
    expect(await transfer(pair, "tcp", `${16 * MIB}`)).toEqual({ bytes: 16 * MIB, wrong: 0 });
    expect(await transfer(pair, "tcp", `${4 * MIB}`, 6)).toEqual({ bytes: 4 * MIB, wrong: 0 });
    for (const family of [4, 6] as const) {
      const { datagrams, late, wrong } = await transfer(pair, "udp", "1500 1200 20", family);
      expect({ late, wrong }).toEqual({ late: 0, wrong: 0 });
      // The tunnel's socket holds some ninety: what comes while its thread waits for a core is
      // lost. More than that came, so it went on.
      expect(datagrams).toBeGreaterThan(200);
    }
    const { total, peers } = two.tunnel.counters();
    expect(peers.get("h1")?.rxBytes).toBeGreaterThan(20 * MIB);
    expect(total.rx_drop_malformed).toBe(0);
    expect(total.rx_drop_source).toBe(0);
    expect(total.rx_bad_checksum).toBe(0);
  });

  test("uses the kernel path for all of an IPv4 transfer when both ends have it", async () => {
    using pair = makeTunnelPair();
    await transfer(pair, "tcp", `${8 * MIB}`);
    const sent = pair.one.tunnel.counters().total;
    expect(sent.tx_encap_bytes).toBeGreaterThanOrEqual(8 * MIB);
    expect(sent.tx_packets).toBeLessThan(50);
    expect(pair.two.tunnel.counters().total.rx_whole).toBeGreaterThan(10);
  });

  test("makes superpackets of what a network without offloads brings", async () => {
    using pair = makeTunnelPair({ features: USERSPACE });
    await transfer(pair, "tcp", `${8 * MIB}`);
    const { total } = pair.two.tunnel.counters();
    expect(total.rx_superpackets).toBeGreaterThan(10);
    expect(total.rx_writes).toBeLessThan((total.rx_packets ?? 0) / 4);
  });

  test("keeps carrying while its peers are replaced", async () => {
    using pair = makeTunnelPair();
    const { one } = pair;
    const others = Array.from({ length: 500 }, (_, i) => ({
      name: `x${i}`,
      subnets: [`10.6.${i >> 8}.${i & 255}/32`],
      endpoint: { ip: "198.18.9.9", port: 8285 },
      capabilities: [],
    }));
    let replaced = 0;
    const timer = setInterval(() => {
      replaced += 1;
      one.tunnel.setPeers([peerOf(2), ...others.slice(0, (replaced * 37) % 500)], ownOf(1));
    }, 5);
    try {
      const received = await transfer(pair, "tcp", `${64 * MIB}`);
      expect(received).toEqual({ bytes: 64 * MIB, wrong: 0 });
    } finally {
      clearInterval(timer);
    }
    expect(replaced).toBeGreaterThan(0);
    const { total, peers } = one.tunnel.counters();
    expect(total.tx_drop_no_peer).toBe(0);
    expect(peers.get("h2")?.txBytes).toBeGreaterThan(64 * MIB);
  });
});
