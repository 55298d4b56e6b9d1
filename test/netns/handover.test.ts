// One agent after another on the real kernel, while packets flow in both directions: a takeover
// loses none, on any backend and by the packet path's threads as by its programs; a kill loses none
// of those that programs carry; and whatever goes wrong on the way, the host still has an agent.

import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { TestFabric, until } from "../support/fabric.ts";
import { requireRoot } from "../support/netns.ts";
import { type PingStream, pingStream } from "../support/ping-stream.ts";

setDefaultTimeout(60_000);

const V4 = { Network: "10.5.0.0/16" };
const V6 = { EnableIPv4: false, EnableIPv6: true, IPv6Network: "fd00:10:5::/48" };
const NAMES = ["h1", "h2"] as const;

let fabric: TestFabric;
let streams: PingStream[] = [];

type Agent = ReturnType<TestFabric["start"]>;

/** Two hosts, and the agent of the first. */
async function started(document: object): Promise<Agent> {
  fabric = await TestFabric.create({ hosts: NAMES.length });
  await fabric.init(document);
  const [first] = NAMES.map((name) => fabric.start(name));
  await fabric.ready(NAMES, 1);
  for (const name of NAMES) fabric.container(name);
  if (first === undefined) throw new Error("no agent");
  return first;
}

/** Pings in both directions, 200 a second each; resolves when they flow. */
async function flow(): Promise<void> {
  const args = "-i 0.005 -W 2";
  streams = [
    pingStream(fabric, { from: "h1", to: "h2", args }),
    pingStream(fabric, { from: "h2", to: "h1", args }),
  ];
  await passed(50);
}

function inPackets(): number {
  const line = fabric.exec(fabric.container("h1").netns, ["cat", "/proc/net/snmp6"]).out;
  const line4 = fabric.exec(fabric.container("h1").netns, ["cat", "/proc/net/snmp"]).out;
  const six = Number(/Ip6InReceives\s+(\d+)/.exec(line)?.[1] ?? 0);
  const four = Number(/^Ip: \d+ \d+ (\d+)/m.exec(line4)?.[1] ?? 0);
  return four + six;
}

/** Waits until the container of h1 has received `packets` more. */
async function passed(packets: number): Promise<void> {
  const before = inPackets();
  await until(`${packets} packets arrive`, 10_000, () => inPackets() >= before + packets);
}

async function lost(): Promise<number[]> {
  await passed(50);
  return (await Promise.all(streams.map((stream) => stream.stop()))).map((count) => count.lost);
}

function saidByH1(): string[] {
  const of = (data: unknown): boolean => (data as { node?: string } | null)?.node === "h1";
  return fabric.events().flatMap(({ type, data }) => (of(data) && type !== null ? [type] : []));
}

const index = (dev: string): unknown => fabric.ip("h1", `link show ${dev}`)[0]?.ifindex;

/** The kernel path carries only what it is asked to: IPv6 goes through the threads. */
async function isCarried(): Promise<boolean> {
  const counters = (await fabric.status("h1"))?.tunnel?.counters;
  return (counters?.tx_encap_packets ?? 0) > 0;
}

afterEach(async () => {
  await Promise.all(streams.map((stream) => stream.stop()));
  streams = [];
  await fabric.close();
});

describe.skipIf(!requireRoot("handover"))("an agent that takes over", () => {
  test.each([
    { name: "udp, programs", document: { ...V4, Backend: { Type: "udp" } }, dev: "heddle0" },
    { name: "udp, threads", document: { ...V6, Backend: { Type: "udp" } }, dev: "heddle0" },
    { name: "vxlan", document: { ...V4, Backend: { Type: "vxlan" } }, dev: "heddle.1" },
    { name: "host-gw", document: { ...V4, Backend: { Type: "host-gw" } }, dev: "eth0" },
  ])("$name: loses no packet, ends the other quietly, says nothing in the log", async (one) => {
    const first = await started(one.document);
    await flow();
    const before = { said: saidByH1(), index: index(one.dev), kernel: fabric.kernel("h1") };
    if (one.dev === "heddle0") expect(await isCarried()).toBe(one.name.endsWith("programs"));
    fabric.start("h1", "--takeover");
    expect(await first.exited).toBe(0);
    await fabric.ready(["h1"], 1);
    expect(await lost()).toEqual([0, 0]);
    expect({ said: saidByH1(), index: index(one.dev), kernel: fabric.kernel("h1") }).toEqual(
      before,
    );
    expect(fabric.logs("h1")).toContain("taken over");
  });
});
