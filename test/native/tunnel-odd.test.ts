// Packets of the right peer that are odd: padded, nested, in fragments, damaged inside, larger than
// anything this tunnel sends, superpackets that lie about themselves. They arrive as what they are
// or not at all, and the tunnel goes on.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { inject } from "../support/inject.ts";
import { requireRoot } from "../support/netns.ts";
import { build, buildSuper, checksum, concat, udpSpec, VNET } from "../support/packet.ts";
import { kernelCounts } from "../support/snmp.ts";
import {
  makeTunnelPair,
  type PairOptions,
  PORT,
  podIp,
  type TunnelPair,
  USERSPACE,
  underlayIp,
  untilValue,
} from "../support/tunnel.ts";

const root = requireRoot("the tunnel's odd packets");
const COUNT = 20;
const FAMILIES = [4, 6] as const;

const PATHS: readonly [string, PairOptions][] = [
  ["the kernel path", {}],
  ["threads only", { features: USERSPACE }],
  ["threads that merge nothing", { features: { ...USERSPACE, "vnet-header": false } }],
  ["an IPv6 underlay", { underlay: 6 }],
];

/** An IPv4 packet sent on to another address, its header mended, its UDP checksum left out. */
function readdressed(packet: Uint8Array, to: string): Uint8Array {
  const changed = packet.slice();
  const view = new DataView(changed.buffer);
  changed.set(to.split(".").map(Number), 16);
  view.setUint16(10, 0);
  view.setUint16(10, 0xffff - checksum(changed.slice(0, 20)));
  view.setUint16(26, 0);
  return changed;
}

/** With its last byte, which no header guards, another. */
function damaged(packet: Uint8Array): Uint8Array {
  const changed = packet.slice();
  changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
  return changed;
}

interface Site {
  readonly pair: TunnelPair;
  readonly underlay: 4 | 6;
}

type Counts = Readonly<Record<string, number>>;

function taken({ rx_packets = 0, rx_decap_packets = 0, ...total }: Counts): number {
  return Object.entries(total)
    .filter(([name]) => name.startsWith("rx_drop") && name !== "rx_drop_write")
    .reduce((sum, [, count]) => sum + count, rx_packets + rx_decap_packets);
}

/** Sends and waits until the tunnel has taken them all; returns its counters before and after. */
async function send({ pair, underlay }: Site, ...payloads: Uint8Array[]) {
  const counts = (): Counts => pair.one.tunnel.counters().total;
  const before = counts();
  const sender = { source: underlayIp(2, underlay), port: PORT };
  expect(inject(pair, sender, payloads)).toBe(payloads.length);
  const after = await untilValue(() => {
    const now = counts();
    return taken(now) >= taken(before) + payloads.length ? now : null;
  });
  return { before, after };
}

const many = (payload: Uint8Array) => Array<Uint8Array>(COUNT).fill(payload);

const inPod = ({ pair }: Site, name: string) => kernelCounts(pair.one.pod)(name);

function expectAlive({ pair }: Site): void {
  for (const family of FAMILIES) pair.two.pod.exec(["ping", "-c1", "-W2", podIp(1, family)]);
}

async function dropsPadding(site: Site, family: 4 | 6): Promise<void> {
  const packet = build(udpSpec(family));
  const padded = concat(packet, new Uint8Array(99).fill(0xee));
  const { before, after } = await send(site, ...many(padded));
  expect((after.rx_bytes ?? 0) - (before.rx_bytes ?? 0)).toBe(COUNT * packet.length);
}

async function leavesDamageToPod(site: Site, family: 4 | 6): Promise<void> {
  const name = family === 4 ? "UdpInCsumErrors" : "Udp6InCsumErrors";
  const bad = inPod(site, name);
  await send(site, ...many(damaged(build(udpSpec(family)))));
  await untilValue(() => (inPod(site, name) === bad + COUNT ? true : null));
}

async function mergesNoDamage(site: Site): Promise<void> {
  const [ports, bad] = [inPod(site, "UdpNoPorts"), inPod(site, "UdpInCsumErrors")];
  const good = build(udpSpec(4));
  await send(site, good, good, damaged(good), good, good);
  await untilValue(() => (inPod(site, "UdpNoPorts") === ports + 4 ? true : null));
  expect(inPod(site, "UdpInCsumErrors")).toBe(bad + 1);
}

const inner = build(udpSpec(4));
const nested = build(udpSpec(4, { sourcePort: PORT, destinationPort: PORT, payload: inner }));

async function nestsForPod(site: Site): Promise<void> {
  const before = inPod(site, "UdpNoPorts");
  await send(site, ...many(nested));
  await untilValue(() => (inPod(site, "UdpNoPorts") >= before + COUNT ? true : null));
  // Unwrapped, each would have come twice.
  expect(inPod(site, "UdpNoPorts")).toBe(before + COUNT);
}

async function nestsForHost(site: Site): Promise<void> {
  const ports = inPod(site, "UdpNoPorts");
  const first = await send(site, ...many(readdressed(nested, underlayIp(1))));
  const { rx_drop_destination: drops = 0 } = first.after;
  expect(drops - (first.before.rx_drop_destination ?? 0)).toBe(COUNT);
  // The address of the device is ours; the socket does not listen there.
  const second = await send(site, ...many(readdressed(nested, "10.5.1.0")));
  expectAlive(site);
  // Beside these only the two pings have come.
  const now = site.pair.one.tunnel.counters().total;
  expect(taken(now) - taken(second.before)).toBe(COUNT + 2);
  expect(inPod(site, "UdpNoPorts")).toBe(ports);
}

function passesFragments({ pair }: Site, family: 4 | 6): void {
  const ping = ["ping", "-n", "-c2", "-i", "0.01", "-s", "5000", podIp(2, family)];
  // The first may only teach the pod the size that fits.
  Bun.spawnSync(["ip", "netns", "exec", pair.one.pod.name, ...ping, "-W0.1"]);
  pair.one.pod.exec([...ping, "-W2"]);
}

async function cutsWhatMayBe(site: Site): Promise<void> {
  const [whole, parts] = [inPod(site, "IpReasmOKs"), inPod(site, "IpReasmReqds")];
  const payload = new Uint8Array(8000).fill(0x5a);
  await send(site, build(udpSpec(4, { payload, dontFragment: true })));
  await send(site, build(udpSpec(4, { payload })));
  await untilValue(() => (inPod(site, "IpReasmOKs") === whole + 1 ? true : null));
  // The fragments of one only.
  expect(inPod(site, "IpReasmReqds") - parts).toBe(6);
}

async function survivesLies(site: Site): Promise<void> {
  for (const protocol of ["tcp", "udp"] as const) {
    for (const [more, size] of [0, 1, 7, 1400, 30_000, 65_535].entries()) {
      const payload = new Uint8Array(20_000 + more);
      const spec = udpSpec(4, { protocol, payload, dontFragment: true, id: size });
      await send(site, buildSuper(spec, 1000).slice(VNET));
    }
  }
  expectAlive(site);
}

async function survivesNoise(site: Site): Promise<void> {
  const specs = FAMILIES.flatMap((family) => [
    build(udpSpec(family)),
    build(udpSpec(family, { protocol: "tcp", payload: new Uint8Array(900) })),
  ]);
  const change = fc.tuple(fc.constantFrom(...specs), fc.nat(60), fc.nat(255), fc.nat(1000));
  const changed = fc.sample(change, { numRuns: 1000, seed: 5 }).map(([packet, at, byte, cut]) => {
    const copy = packet.slice(0, cut < 100 ? cut : packet.length);
    if (at < copy.length) copy[at] = byte;
    return copy;
  });
  const { before, after } = await send(site, ...changed);
  expect(taken(after) - taken(before)).toBe(1000);
  expectAlive(site);
}

describe.if(root).each(PATHS)("odd packets of the right peer, by %s", (_name, options) => {
  let site: Site;

  beforeAll(() => {
    site = { pair: makeTunnelPair(options), underlay: options.underlay ?? 4 };
  });
  afterAll(() => site?.pair[Symbol.dispose]());

  test.each(FAMILIES)("IPv%s with bytes behind it: arrives without them", (family) =>
    dropsPadding(site, family),
  );
  test.each(FAMILIES)("IPv%s damaged inside: the pod's kernel finds out", (family) =>
    leavesDamageToPod(site, family),
  );
  test("damaged among good ones of its flow: the good ones arrive, it does not", () =>
    mergesNoDamage(site));
  test("nested, to the pod: arrives wrapped", () => nestsForPod(site));
  test("nested, to the host itself: not unwrapped again", () => nestsForHost(site));
  test.each(FAMILIES)("IPv%s in fragments: arrives in both directions", (family) =>
    passesFragments(site, family),
  );
  test("larger than the tunnel's MTU: cut if it may be, else not there", () => cutsWhatMayBe(site));
  test("superpackets that lie about their segments do no harm", () => survivesLies(site));
  test("a thousand with bytes changed at random: all counted, none fatal", () =>
    survivesNoise(site));
});
