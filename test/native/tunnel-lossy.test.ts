// A bad underlay between two hosts: it loses, doubles, delays and damages. What arrives in the pods
// is whole, comes in the order and at most as often as it crossed, and every datagram that crossed
// is found again in a counter, ours or the kernel's.

import { describe, expect, test } from "bun:test";
import { Adversary, type Faults } from "../support/adversary.ts";
import { requireRoot } from "../support/netns.ts";
import { kernelCounts } from "../support/snmp.ts";
import {
  keepOrder,
  makeTunnelPair,
  type PairOptions,
  podIp,
  type TunnelHost,
  type TunnelPair,
  transfer,
  USERSPACE,
  underlayIp,
  untilValue,
} from "../support/tunnel.ts";

// A lost SYN costs a second, on a busy machine more.
const root = requireRoot("the tunnel over a bad underlay");
const MIB = 2 ** 20;

const WAYS: readonly [string, PairOptions][] = [
  ["the kernel path", {}],
  ["threads only", { features: USERSPACE }],
  ["plain peers", { capabilities: [] }],
  ["an IPv6 underlay", { underlay: 6 }],
];

async function makeBadPair(options: PairOptions, faults: Faults) {
  const made: Adversary[] = [];
  const wire: PairOptions["wire"] = (one, two) => {
    const between = Adversary.between(one, two, faults);
    made.push(between);
    return between;
  };
  const pair = makeTunnelPair({ ...options, wire });
  const [underlay] = made;
  if (underlay === undefined) throw new Error("no underlay was made");
  await underlay.ready();
  keepOrder(pair, underlay.netns);
  // What waits for a link address may be lost, or be overtaken when it leaves.
  for (const { host, number } of [pair.one, pair.two]) {
    const other = number === 1 ? 2 : 1;
    for (const family of [4, 6] as const) {
      for (const ip of [podIp(number, family), underlayIp(other, family)]) {
        host.exec(["ping", "-c1", "-W2", ip]);
      }
    }
  }
  return { pair, underlay, [Symbol.dispose]: () => pair[Symbol.dispose]() };
}

/** Datagrams that the host's kernel took from the underlay and refused, by its own counts. */
function refusedByKernel({ host }: TunnelHost): number {
  const count = kernelCounts(host);
  const four = ["UdpInErrors", "UdpNoPorts", "IpInHdrErrors", "IpInAddrErrors", "IpInDiscards"];
  const six = ["Udp6InErrors", "Udp6NoPorts", "Ip6InHdrErrors", "Ip6InTruncatedPkts"];
  return [...four, ...six].reduce((sum, name) => sum + count(name), 0);
}

const ARRIVED = ["rx_packets", "rx_decap_packets"] as const;
const REFUSED = ["truncated", "malformed", "source", "destination", "ttl"] as const;

function accounted(end: TunnelHost): number {
  const { total } = end.tunnel.counters();
  const ours = [...ARRIVED, ...REFUSED.map((reason) => `rx_drop_${reason}`)];
  return ours.reduce((sum, name) => sum + (total[name] ?? 0), refusedByKernel(end));
}

/** Waits until what crossed to either host is in its counters; more than that would be an echo. */
async function allAccountedFor(pair: TunnelPair, underlay: Adversary) {
  const [toTwo, toOne] = await underlay.end();
  for (const [end, fates] of [
    [pair.one, toOne],
    [pair.two, toTwo],
  ] as const) {
    await untilValue(() => (accounted(end) >= fates.passed ? true : null));
    expect(accounted(end)).toBe(fates.passed);
  }
  return toTwo;
}

describe.if(root)("over an underlay that loses, doubles, delays and damages", () => {
  test.each(WAYS)("TCP arrives whole and all is accounted for, by %s", async (_name, options) => {
    const faults = { seed: 7, loss: 10, double: 10, late: 10, damage: 5 };
    using bad = await makeBadPair(options, faults);
    const { pair, underlay } = bad;
    expect(await transfer(pair, "tcp", `${4 * MIB}`)).toEqual({ bytes: 4 * MIB, wrong: 0 });
    expect(await transfer(pair, "tcp", `${MIB}`, 6)).toEqual({ bytes: MIB, wrong: 0 });
    const fates = await allAccountedFor(pair, underlay);
    // It was bad enough to prove something.
    for (const fate of [fates.lost, fates.doubled, fates.late, fates.damaged]) {
      expect(fate).toBeGreaterThan(5);
    }
  });

  test.each(WAYS)(
    "UDP arrives undamaged, no oftener than it crossed, by %s",
    async (_n, options) => {
      const faults = { seed: 8, loss: 20, double: 40, late: 40, damage: 20 };
      using bad = await makeBadPair(options, faults);
      const { pair, underlay } = bad;
      let again = 0;
      for (const family of [4, 6] as const) {
        const {
          datagrams,
          repeated = 0,
          wrong,
        } = await transfer(pair, "udp", "1500 700 5", family);
        expect(wrong).toBe(0);
        // A busy machine's own queues may lose too.
        expect(datagrams).toBeGreaterThan(700);
        again += repeated;
      }
      const fates = await allAccountedFor(pair, underlay);
      expect(fates.damaged).toBeGreaterThan(20);
      expect(again).toBeGreaterThan(20);
      expect(again).toBeLessThanOrEqual(fates.doubled);
    },
  );
});

describe.if(root)("over an underlay that loses and doubles but keeps the order", () => {
  test.each(WAYS)("so does the tunnel, by %s", async (_name, options) => {
    using bad = await makeBadPair(options, { seed: 9, loss: 30, double: 30 });
    const { pair, underlay } = bad;
    for (const family of [4, 6] as const) {
      const received = await transfer(pair, "udp", "2000 1100 10", family);
      expect(received).toMatchObject({ late: 0, wrong: 0 });
      expect(received.repeated).toBeGreaterThan(10);
    }
    await allAccountedFor(pair, underlay);
  });

  test.each(WAYS)("and nothing is repeated that crossed once, by %s", async (_name, options) => {
    using bad = await makeBadPair(options, { seed: 10, loss: 30 });
    const received = await transfer(bad.pair, "udp", "2000 1100 10");
    expect(received).toMatchObject({ late: 0, repeated: 0, wrong: 0 });
    await allAccountedFor(bad.pair, bad.underlay);
  });
});
