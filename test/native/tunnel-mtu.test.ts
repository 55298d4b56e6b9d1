// An underlay with a narrow place. Outer packets carry no DF: over IPv4 routers cut them, over IPv6
// the sender does once a router has told it, and the pods notice nothing. Where nobody cuts and
// nobody tells, only a smaller MTU of the tunnel helps, and a transfer that stood still goes on.

import { describe, expect, test } from "bun:test";
import { Tunnel } from "../../src/ffi/tunnel.ts";
import { Adversary } from "../support/adversary.ts";
import { type Narrow, type NarrowOptions, narrowBetween } from "../support/narrow.ts";
import { requireRoot } from "../support/netns.ts";
import { kernelCounts } from "../support/snmp.ts";
import {
  dressDevice,
  keepOrder,
  makeTunnelPair,
  ownOf,
  type PairOptions,
  peerOf,
  podIp,
  type TunnelPair,
  transfer,
  tunnelOptions,
  USERSPACE,
  untilValue,
} from "../support/tunnel.ts";

const root = requireRoot("the tunnel's underlay MTU");
const MIB = 2 ** 20;
const NARROW = 1400;

const WAYS: readonly [string, PairOptions][] = [
  ["the kernel path", {}],
  ["threads only", { features: USERSPACE }],
];

function makeNarrowPair(options: PairOptions, narrow: NarrowOptions) {
  const made: Narrow[] = [];
  const wire: PairOptions["wire"] = (one, two) => {
    const between = narrowBetween(one, two, narrow);
    made.push(between);
    return between;
  };
  const pair = makeTunnelPair({ ...options, wire });
  const [between] = made;
  if (between === undefined) throw new Error("no underlay was made");
  return { pair, between, [Symbol.dispose]: () => pair[Symbol.dispose]() };
}

async function expectAllPasses(pair: TunnelPair): Promise<void> {
  for (const family of [4, 6] as const) {
    expect(await transfer(pair, "tcp", `${4 * MIB}`, family)).toEqual({
      bytes: 4 * MIB,
      wrong: 0,
    });
    const received = await transfer(pair, "udp", "1000 1380 20", family);
    expect(received).toMatchObject({ repeated: 0, wrong: 0 });
    // A thread that waits for a core loses what its socket cannot hold, more than some ninety.
    expect(received.datagrams).toBeGreaterThan(200);
  }
}

/** What the agent does when the configuration says so. */
function reopen(pair: TunnelPair, options: PairOptions, mtuBytes: number): void {
  for (const end of [pair.one, pair.two]) {
    end.tunnel.close();
    end.tunnel = Tunnel.open({
      ...tunnelOptions(end.host, end.number, { ...options, mtuBytes }),
      peers: [peerOf(end.number === 1 ? 2 : 1, options)],
      own: ownOf(end.number),
    });
    dressDevice(end.host, end.number, mtuBytes);
  }
}

describe.if(root)("over an underlay with a narrow place", () => {
  test.each(WAYS)("IPv4 routers cut what does not fit, by %s", async (_name, options) => {
    using narrow = makeNarrowPair(options, { mtu: NARROW });
    const { pair, between } = narrow;
    await expectAllPasses(pair);
    expect(kernelCounts(between.left)("IpFragOKs")).toBeGreaterThan(1000);
    expect(kernelCounts(pair.two.host)("IpReasmOKs")).toBeGreaterThan(1000);
  });

  test.each(WAYS)("a flow of large and small keeps its order, by %s", async (_name, options) => {
    using narrow = makeNarrowPair(options, { mtu: NARROW });
    const { pair, between } = narrow;
    keepOrder(pair, between.left, between.right);
    pair.one.pod.exec(["ping", "-c1", "-W2", podIp(2)]);
    // The large ones come in fragments, the small ones whole.
    const received = await transfer(pair, "udp", "2000 1430 20 100");
    expect(received).toMatchObject({ late: 0, repeated: 0, wrong: 0 });
  });

  test.each(WAYS)("a flow of inner fragments too, by %s", async (_name, options) => {
    using pair = makeTunnelPair(options);
    keepOrder(pair);
    pair.one.pod.exec(["ping", "-c2", "-i0.01", "-W2", podIp(2)]);
    const received = await transfer(pair, "udp", "2000 4000 20 100");
    expect(received).toMatchObject({ late: 0, repeated: 0, wrong: 0 });
    // A busy machine drops some of a burst; what comes is whole, once, and in order.
    expect(received.datagrams).toBeGreaterThan(200);
  });

  test("IPv4 routers cut also where no ICMP comes back", async () => {
    using narrow = makeNarrowPair({}, { mtu: NARROW, silent: true });
    await expectAllPasses(narrow.pair);
  });

  test("the sender cuts over IPv6, once it was told", async () => {
    using narrow = makeNarrowPair({ underlay: 6 }, { mtu: NARROW });
    const { pair } = narrow;
    await expectAllPasses(pair);
    expect(kernelCounts(pair.one.host)("Icmp6InPktTooBigs")).toBeGreaterThan(0);
    expect(kernelCounts(pair.one.host)("Ip6FragOKs")).toBeGreaterThan(1000);
  });

  const holes: readonly [string, PairOptions, number][] = [
    ["a switch, by the kernel path", {}, NARROW - 28],
    ["a switch, by threads only", { features: USERSPACE }, NARROW - 28],
    ["a silent IPv6 router", { underlay: 6 }, NARROW - 48],
  ];

  test.each(holes)("a black hole (%s) needs a smaller MTU, then all goes on", async (...args) => {
    const [, options, mtuBytes] = args;
    const wire: PairOptions["wire"] = (one, two) =>
      options.underlay === 6
        ? narrowBetween(one, two, { mtu: NARROW, silent: true })
        : Adversary.between(one, two, { seed: 1, mtu: NARROW });
    using pair = makeTunnelPair({ ...options, wire });
    await untilValue(() => {
      const ping = ["ping", "-c1", "-W1", podIp(2)];
      return Bun.spawnSync(["ip", "netns", "exec", pair.one.pod.name, ...ping]).exitCode === 0
        ? true
        : null;
    });
    const moving = transfer(pair, "tcp", `${4 * MIB}`);
    const resent = () => kernelCounts(pair.one.pod)("TcpRetransSegs");
    await untilValue(() => (resent() >= 2 ? true : null));
    expect(pair.two.tunnel.counters().total.rx_bytes).toBeLessThan(MIB);
    reopen(pair, options, mtuBytes);
    expect(await moving).toEqual({ bytes: 4 * MIB, wrong: 0 });
  });
});
