// Hosts whose listening address is not on the device that leads to the peer: on the loopback, as
// hosts with a routing daemon have it, or on another network card. The kernel path knows one
// device; what goes elsewhere must go by the threads, and must go.

import { describe, expect, test } from "bun:test";
import { joinByVeth, makeNetns, type Netns, requireRoot } from "../support/netns.ts";
import {
  makeTunnelPair,
  type PairOptions,
  podIp,
  type TunnelPair,
  transfer,
  underlayEnd,
  underlayIp,
} from "../support/tunnel.ts";

const root = requireRoot("the tunnel on hosts with several devices");
const MIB = 2 ** 20;

/** Both hosts reach each other's address through one device, but have it on `dev`. */
function elsewhere(dev: "lo" | "eth1"): NonNullable<PairOptions["wire"]> {
  return (one, two) => {
    const others: Netns[] = [];
    joinByVeth(
      { netns: one, dev: "eth0", addresses: ["192.0.2.1/24"] },
      { netns: two, dev: "eth0", addresses: ["192.0.2.2/24"] },
    );
    for (const [netns, number] of [
      [one, 1],
      [two, 2],
    ] as const) {
      if (dev === "eth1") {
        const other = makeNetns();
        others.push(other);
        const end = { ...underlayEnd(netns, number), dev };
        joinByVeth(end, { netns: other, dev: "eth0", addresses: [] });
      } else {
        netns.ip(`addr add ${underlayIp(number)}/32 dev lo`);
      }
      const peer = number === 1 ? 2 : 1;
      netns.ip(`route add ${underlayIp(peer)}/32 via 192.0.2.${peer} src ${underlayIp(number)}`);
    }
    return { [Symbol.dispose]: () => others.forEach((other) => void other[Symbol.dispose]()) };
  };
}

async function expectAllPasses(pair: TunnelPair): Promise<void> {
  for (const family of [4, 6] as const) {
    pair.one.pod.exec(["ping", "-c1", "-W2", podIp(2, family)]);
    expect(await transfer(pair, "tcp", `${4 * MIB}`, family)).toEqual({
      bytes: 4 * MIB,
      wrong: 0,
    });
  }
}

describe.if(root)("a host that listens on one device and sends by another", () => {
  test.each(["lo", "eth1"] as const)("the address on %s: carried by the threads", async (dev) => {
    using pair = makeTunnelPair({ wire: elsewhere(dev) });
    await expectAllPasses(pair);
    expect(pair.one.tunnel.counters().total.tx_encap_packets).toBe(0);
  });

  test("a route that moves to another device is followed, and back", async () => {
    const wire: PairOptions["wire"] = (one, two) => {
      joinByVeth(underlayEnd(one, 1), underlayEnd(two, 2));
      joinByVeth(
        { netns: one, dev: "eth1", addresses: ["192.0.2.1/24"] },
        { netns: two, dev: "eth1", addresses: ["192.0.2.2/24"] },
      );
      return { [Symbol.dispose]: () => undefined };
    };
    using pair = makeTunnelPair({ wire });
    await expectAllPasses(pair);
    const { host, tunnel } = pair.one;
    const encap = () => tunnel.counters().total.tx_encap_packets ?? 0;
    const before = encap();
    expect(before).toBeGreaterThan(0);
    host.ip(`route add ${underlayIp(2)}/32 via 192.0.2.2 dev eth1 src ${underlayIp(1)}`);
    tunnel.refresh();
    await expectAllPasses(pair);
    expect(encap()).toBe(before);
    host.ip(`route del ${underlayIp(2)}/32`);
    tunnel.refresh();
    await expectAllPasses(pair);
    expect(encap()).toBeGreaterThan(before);
  });
});
