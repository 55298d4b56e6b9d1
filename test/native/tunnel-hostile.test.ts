// Datagrams that must not be delivered: from strangers, from the wrong peer, to others, damaged.
// They are sent with a raw socket, so also the outer source is a lie; what arrives in the pod is
// counted by the pod's own kernel.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { inject, injectSteadily, type Sender } from "../support/inject.ts";
import { requireRoot } from "../support/netns.ts";
import { build, concat, l3Length, udpSpec } from "../support/packet.ts";
import { packetsIn } from "../support/snmp.ts";
import {
  makeTunnelPair,
  ownOf,
  type PairOptions,
  PORT,
  peerOf,
  type TunnelPair,
  transfer,
  USERSPACE,
  underlayIp,
  untilValue,
} from "../support/tunnel.ts";

const root = requireRoot("the tunnel's source check");
const COUNT = 20;

const PATHS: readonly [string, PairOptions][] = [
  ["the kernel path", {}],
  ["threads only", { features: USERSPACE }],
  ["an IPv6 underlay", { underlay: 6 }],
];

type Who = "stranger" | "peer" | "peer by another port";

function senderOf(who: Who, underlay: 4 | 6): Sender {
  const stranger = underlay === 4 ? "198.18.0.77" : "fd18::77";
  const source = who === "stranger" ? stranger : underlayIp(2, underlay);
  return { source, port: who === "peer by another port" ? 4444 : PORT };
}

/** A packet with one byte changed and nothing mended. */
function altered(packet: Uint8Array, at: number, value: number): Uint8Array {
  const changed = packet.slice();
  changed[at] = value;
  return changed;
}

type Crafted = [what: string, who: Who, payload: Uint8Array, reason: string];

function craftedOf(family: 4 | 6): Crafted[] {
  const spec = udpSpec(family, { dontFragment: true });
  const good = build(spec);
  const lengthAt = family === 4 ? 2 : 4;
  const named = (what: string) => `IPv${family}, ${what}`;
  const cases: Crafted[] = [
    ["from a stranger", "stranger", good, "source"],
    ["from a peer's address by another port", "peer by another port", good, "source"],
    ["with an inner source of another", "peer", build({ ...spec, from: 9 }), "source"],
    ["with our own inner source", "peer", build({ ...spec, from: 1 }), "source"],
    ["to a destination not ours", "peer", build({ ...spec, to: 9 }), "destination"],
    ["with a TTL of 0", "peer", build({ ...spec, ttl: 0 }), "ttl"],
    ["cut in its header", "peer", good.slice(0, l3Length(family) - 1), "malformed"],
    ["cut in its payload", "peer", good.slice(0, -1), "malformed"],
    ["longer than it is, says its header", "peer", altered(good, lengthAt, 0xff), "malformed"],
    ["a version only", "peer", good.slice(0, 1), "malformed"],
  ];
  return cases.map(([what, ...rest]) => [named(what), ...rest]);
}

const four = build(udpSpec(4, { dontFragment: true }));
const CRAFTED: Crafted[] = [
  ...craftedOf(4),
  ...craftedOf(6),
  ["nothing", "peer", new Uint8Array(), "malformed"],
  ["no IP", "peer", new Uint8Array(99).fill(0x10), "malformed"],
  ["IPv4, with a wrong header checksum", "peer", altered(four, 1, 2), "malformed"],
  ["IPv4, with a header of 16 bytes", "peer", altered(four, 0, 0x44), "malformed"],
  [
    "IPv4, with a header longer than itself",
    "peer",
    altered(four.slice(0, 40), 0, 0x4f),
    "malformed",
  ],
  ["IPv4, shorter than its header", "peer", altered(altered(four, 2, 0), 3, 19), "malformed"],
];

const dropsOf = (total: Readonly<Record<string, number>>): number =>
  Object.entries(total)
    .filter(([name]) => name.startsWith("rx_drop"))
    .reduce((sum, [, count]) => sum + count, 0);

function countsOf({ one }: TunnelPair) {
  const { total } = one.tunnel.counters();
  const drops = dropsOf(total);
  return { total, drops, all: drops + (total.rx_packets ?? 0) + (total.rx_decap_packets ?? 0) };
}

/** Waits until the tunnel has seen so many more datagrams than `before`, delivered or not. */
async function seen(pair: TunnelPair, before: ReturnType<typeof countsOf>, datagrams: number) {
  return await untilValue(() => {
    const now = countsOf(pair);
    return now.all >= before.all + datagrams ? now : null;
  });
}

async function wakeNobody(pair: TunnelPair, length: number, underlay: 4 | 6): Promise<void> {
  const payload = new Uint8Array(length).fill(0x5a);
  const datagrams = [build({ ...udpSpec(4), payload }), build({ ...udpSpec(6), payload }), payload];
  const before = countsOf(pair);
  inject(pair, senderOf("stranger", underlay), datagrams);
  const { total, drops } = await seen(pair, before, datagrams.length);
  expect(drops - before.drops).toBe(datagrams.length);
  expect(total.rx_messages).toBe(before.total.rx_messages ?? 0);
}

async function isHeard(pair: TunnelPair, options: PairOptions): Promise<void> {
  const sender = senderOf("stranger", options.underlay ?? 4);
  const peer = peerOf(2, options);
  const delivered = async (wanted: boolean): Promise<void> => {
    const before = countsOf(pair);
    inject(pair, sender, Array<Uint8Array>(COUNT).fill(build(udpSpec(4))));
    const { drops } = await seen(pair, before, COUNT);
    expect(drops - before.drops).toBe(wanted ? 0 : COUNT);
  };
  await delivered(false);
  pair.one.tunnel.setPeers([{ ...peer, endpoint: { ip: sender.source, port: PORT } }], ownOf(1));
  await delivered(true);
  pair.one.tunnel.setPeers([peer], ownOf(1));
  await delivered(false);
}

/** What a peer's datagram is dropped for in the kernel path's own program. */
const REFUSED: readonly [what: string, payload: Uint8Array, reason: string][] = [
  ["an inner source of another", build({ ...udpSpec(4), from: 9 }), "source"],
  ["our own inner source", build({ ...udpSpec(4), from: 1 }), "source"],
  ["a destination not ours", build({ ...udpSpec(4), to: 9 }), "destination"],
  ["a wrong header checksum", altered(four, 1, 2), "malformed"],
];

describe.if(root)("datagrams in a peer's name, by the kernel path", () => {
  test.each(REFUSED)("%s: counted, and wakes nobody", async (_what, payload, reason) => {
    using pair = makeTunnelPair();
    const before = countsOf(pair);
    inject(pair, senderOf("peer", 4), [payload]);
    const { total } = await seen(pair, before, 1);
    expect(total[`rx_drop_${reason}`]).toBe(1);
    expect(total.rx_messages).toBe(0);
  });

  test("without the source check nothing ends before the socket", async () => {
    using pair = makeTunnelPair({ features: { "source-check": false } });
    const before = countsOf(pair);
    inject(pair, senderOf("stranger", 4), [four]);
    const { total } = await seen(pair, before, 1);
    expect(total).toMatchObject({ rx_drop_source: 0, rx_messages: 1 });
  });
});

describe.if(root).each(PATHS)("hostile datagrams, by %s", (_name, options) => {
  const underlay = options.underlay ?? 4;
  let pair: TunnelPair;

  beforeAll(() => {
    pair = makeTunnelPair(options);
  });
  afterAll(() => pair?.[Symbol.dispose]());

  test.each(CRAFTED)("%s: counted and not delivered", async (_what, who, payload, reason) => {
    const [before, arrived] = [countsOf(pair), packetsIn(pair.one.pod)];
    const sender = senderOf(who, underlay);
    expect(inject(pair, sender, Array<Uint8Array>(COUNT).fill(payload))).toBe(COUNT);
    const { total } = await seen(pair, before, COUNT);
    const name = `rx_drop_${reason}`;
    expect((total[name] ?? 0) - (before.total[name] ?? 0)).toBe(COUNT);
    expect(packetsIn(pair.one.pod)).toBe(arrived);
  });

  test.each([4, 6] as const)("IPv%s from the right peer is delivered", async (family) => {
    const [before, arrived] = [countsOf(pair), packetsIn(pair.one.pod)];
    const payloads = Array<Uint8Array>(COUNT).fill(build(udpSpec(family, { dontFragment: true })));
    inject(pair, senderOf("peer", underlay), payloads);
    const { drops } = await seen(pair, before, COUNT);
    expect(drops).toBe(before.drops);
    // Twenty, or fewer when they were merged
    await untilValue(() => (packetsIn(pair.one.pod) > arrived ? true : null));
  });

  test.each([
    ["one packet", 40],
    ["fragments", 3000],
  ])("a stranger's wake nobody, in %s", (_size, length) => wakeNobody(pair, length, underlay));

  test("a peer is heard from when it is told of until it is told of no more", () =>
    isHeard(pair, options));

  test("10 000 a second of a stranger's deliver nothing and do not stop a transfer", async () => {
    const before = countsOf(pair);
    const random = fc.sample(fc.uint8Array({ minLength: 0, maxLength: 200 }), {
      numRuns: 2000,
      seed: 11,
    });
    const headed = random.map((bytes) => concat(four.slice(0, bytes.length % 29), bytes));
    const crafted = CRAFTED.map(([, , payload]) => payload);
    const flood = injectSteadily(pair, senderOf("stranger", underlay), [...headed, ...crafted], {
      perSecond: 10_000,
      count: 10_000,
    });
    expect(await transfer(pair, "tcp", `${64 * 2 ** 20}`)).toEqual({
      bytes: 64 * 2 ** 20,
      wrong: 0,
    });
    expect(await flood).toBe(10_000);
    const { drops } = await untilValue(() => {
      const now = countsOf(pair);
      return now.drops >= before.drops + 10_000 ? now : null;
    });
    expect(drops).toBe(before.drops + 10_000);
  });
});
