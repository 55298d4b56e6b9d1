// Three hosts in one flat layer-2 segment, with a multicast group and with head-end replication,
// over IPv4 and IPv6: broadcast and multicast cross hosts, containers behind a bridge find each
// other by ARP and ND alone, and a VXLAN device made by hand elsewhere takes part like everybody.

import { afterEach, describe, expect, test } from "bun:test";
import {
  addBridge,
  type Container,
  type DevHost,
  type FlatBridge,
} from "../../src/cli/dev-fabric.ts";
import { TestFabric, until } from "../support/fabric.ts";
import { HandMade } from "../support/hand-made-vtep.ts";
import { requireRoot } from "../support/netns.ts";
import { networkOf, pingAll, type Row, sorted, subnetsOf, viewOf } from "../support/overlay.ts";

const NAMES = ["h1", "h2", "h3"] as const;
const V4 = { Network: "10.5.0.0/16" };
const V6 = { EnableIPv6: true, IPv6Network: "fd00:10:5::/48" };
const ALL_ZEROS = "00:00:00:00:00:00";

interface Case {
  readonly name: string;
  readonly document: {
    readonly [key: string]: unknown;
    readonly Backend: {
      readonly Mode: string;
      readonly VNI?: number;
      readonly Group?: string;
      readonly Bridge?: string;
    };
  };
  readonly device: string;
  readonly six: boolean;
  readonly mtu: number;
}

const CASES: readonly Case[] = [
  {
    name: "multicast over IPv4, dual-stack",
    document: { ...V4, ...V6, Backend: { Mode: "multicast", Group: "239.1.1.1" } },
    device: "heddle.1",
    six: false,
    mtu: 1450,
  },
  {
    name: "multicast over IPv6, IPv4 containers, in a bridge that is named",
    document: {
      ...V4,
      Backend: { Mode: "multicast", VNI: 7, Group: "ff05::7", Bridge: "br-flat" },
    },
    device: "heddle-v6.7",
    six: true,
    mtu: 1430,
  },
  {
    name: "head-end over IPv4, dual-stack, in a bridge that is named",
    document: { ...V4, ...V6, Backend: { Mode: "head-end", Bridge: "br-flat" } },
    device: "heddle.1",
    six: false,
    mtu: 1450,
  },
  {
    name: "head-end, IPv6 only",
    document: { EnableIPv4: false, ...V6, Backend: { Mode: "head-end", VNI: 7 } },
    device: "heddle-v6.7",
    six: true,
    mtu: 1430,
  },
];

let open: TestFabric | null = null;
afterEach(async () => {
  await open?.close();
  open = null;
});

describe.skipIf(!requireRoot("flat segments"))("one flat segment over three hosts", () => {
  test.each(CASES)("$name", async (it) => {
    const fabric = await started(it);
    for (const name of NAMES)
      expect(viewOf(fabric, name)).toMatchObject(expected(fabric, it, name));
    if (it.document.Backend.Bridge === undefined) await hostsPing(fabric, it);

    const containers = attach(fabric, it);
    await pingAll(fabric, NAMES);
    for (const from of containers) {
      for (const to of containers) if (to !== from) expectNeighbour(fabric, from, to);
    }
    await broadcastReachesAll(fabric, containers);
    await handMadeTakesPart(fabric, it, containers);

    // Whatever the devices learnt meanwhile is their own affair.
    const learnt = learntBy(fabric, it, "h1");
    expect(learnt).toContain(`${macOf(fabric, fabric.container("h2").netns)} ${outer(fabric, it)}`);
    for (const name of NAMES) {
      const status = await fabric.status(name);
      expect(status).toMatchObject({ state: "ready", drift: { healed: 0, pending: 0 } });
    }
  });
});

describe.skipIf(!requireRoot("flat segments"))("a host of a flat segment", () => {
  test("waits for the bridge that the configuration names, and says so", async () => {
    open = await TestFabric.create({ hosts: 1 });
    const fabric = open;
    await fabric.init({ ...V4, Backend: { Mode: "head-end", Bridge: "br-flat" } });
    fabric.start("h1");
    const waiting = "link heddle.1: ENODEV: no bridge br-flat";
    await until("the agent says what it waits for", 10_000, async () => {
      const status = await fabric.status("h1");
      return status?.state === "degraded" && status.problems.includes(waiting);
    });
    expect(viewOf(fabric, "h1").links).toEqual([]);
    addBridge(fabric.host("h1"), "br-flat");
    await fabric.ready(["h1"], 0);
    expect(fabric.ip("h1", "link show heddle.1")[0]).toMatchObject({ master: "br-flat" });
  });
});

async function started(it: Case): Promise<TestFabric> {
  const fabric = await TestFabric.create({ hosts: NAMES.length });
  open = fabric;
  await fabric.init(it.document);
  const { Bridge } = it.document.Backend;
  for (const name of NAMES) {
    if (Bridge !== undefined) addBridge(fabric.host(name), Bridge);
    fabric.start(name);
  }
  await fabric.ready(NAMES, NAMES.length - 1);
  return fabric;
}

function expected(fabric: TestFabric, it: Case, name: string): object {
  const { Group, Bridge } = it.document.Backend;
  const self = fabric.host(name);
  const ifname = it.device;
  const peers = NAMES.filter((peer) => peer !== name).map((peer) => fabric.host(peer));
  const self4 = { ifname, flags: ["self"], mac: ALL_ZEROS, state: "permanent" };
  const entry = { ...self4, ...(Group === undefined ? {} : { viaIf: "eth0" }) };
  const dsts = Group === undefined ? peers.map((peer) => underlay(it, peer)) : [Group];
  const { ipv4, ipv6 } = subnetsOf(self);
  const local = [ipv4, ipv6].filter((subnet) => subnet !== null).map(networkOf);
  const inside = Bridge === undefined ? local : [];
  const link = {
    ...{ ifname, up: true, mtu: it.mtu, ifalias: "heddle default", info_kind: "vxlan" },
    ...{ local: underlay(it, self), link: "eth0", learning: true, port: 8472 },
  };
  return {
    links: Bridge === undefined ? [link] : [{ ifname: Bridge }, link],
    addrs:
      Bridge === undefined
        ? sorted(
            inside.map((ip) => ({ ifname, local: ip, prefixlen: ip.includes(":") ? 128 : 32 })),
          )
        : expect.anything(),
    routes: inside.map((ip) => ({
      dst: ip.includes(":") ? "fd00:10:5::/48" : "10.5.0.0/16",
      dev: ifname,
      metric: 1024,
    })),
    neighs: [],
    fdb: expect.arrayContaining(dsts.map((dst) => expect.objectContaining({ ...entry, dst }))),
  };
}

/** Without a bridge the hosts themselves are in the segment. */
async function hostsPing(fabric: TestFabric, it: Case): Promise<void> {
  const { ipv4, ipv6 } = subnetsOf(fabric.host("h3"));
  for (const subnet of [ipv4, ipv6]) {
    if (subnet === null) continue;
    const ping = ["ping", "-n", "-c1", "-W1", networkOf(subnet)];
    const answers = (): boolean => fabric.exec(fabric.host("h1").netns, ping).code === 0;
    await until(`h3 answers on ${it.device}`, 5000, answers);
  }
}

/** The containers of all hosts, behind the bridge that the case asks for. */
function attach(fabric: TestFabric, it: Case): Container[] {
  const { Bridge } = it.document.Backend;
  const flat: FlatBridge =
    Bridge === undefined ? { name: "br-hand", port: it.device } : { name: Bridge, port: null };
  return NAMES.map((name) => {
    const container = fabric.container(name, flat);
    fabric.exec(container.netns, ["sysctl", "-qw", "net.ipv4.icmp_echo_ignore_broadcasts=0"]);
    return container;
  });
}

/** The container's own neighbour table has the other's own MAC: nothing routed between them. */
function expectNeighbour(fabric: TestFabric, from: Container, to: Container): void {
  for (const ip of [to.ipv4, to.ipv6]) {
    if (ip === null) continue;
    const [row] = rows(fabric, from.netns, ["ip", "-j", "neigh", "show", ip]);
    expect(row).toMatchObject({ dst: ip, dev: "eth0", lladdr: macOf(fabric, to.netns) });
  }
}

async function broadcastReachesAll(fabric: TestFabric, all: readonly Container[]): Promise<void> {
  const [first, ...others] = all;
  if (first === undefined) throw new Error("no container");
  if (first.ipv4 !== null) {
    const wanted = others.map(({ ipv4 }) => ipv4 ?? "");
    await answeredBy(fabric, first, ["ping", "-n", "-b", "10.5.255.255"], wanted);
  }
  const linkLocal = others.map(({ netns }) => {
    const [row] = rows(fabric, netns, [
      "ip",
      "-j",
      "-6",
      "addr",
      "show",
      "dev",
      "eth0",
      "scope",
      "link",
    ]);
    const found = (row?.addr_info ?? []) as Row[];
    return String(found.find(({ local }) => local !== undefined)?.local);
  });
  await answeredBy(fabric, first, ["ping", "-n", "ff02::1%eth0"], linkLocal);
}

async function answeredBy(
  fabric: TestFabric,
  from: Container,
  command: readonly string[],
  wanted: readonly string[],
): Promise<void> {
  // Each packet is answered by all; ping ends with the first answer to the last.
  const several = [...command, "-c5", "-i0.05", "-W1"];
  await until(`${wanted.join(", ")} answer to ${command.at(-1)}`, 10_000, () => {
    const ran = fabric.exec(from.netns, several);
    return wanted.every((ip) => new RegExp(`from ${ip}[%:]`).test(ran.out));
  });
}

async function handMadeTakesPart(
  fabric: TestFabric,
  it: Case,
  containers: readonly Container[],
): Promise<void> {
  const { Group } = it.document.Backend;
  using vtep = HandMade.join(fabric, {
    vni: it.document.Backend.VNI ?? 1,
    six: it.six,
    group: Group ?? null,
    hosts: NAMES.map((name) => underlay(it, fabric.host(name))),
    addresses: ["10.5.200.1/16", "fd00:10:5:200::1/48"],
  });
  if (Group === undefined) {
    const subnet =
      it.document.Backend.Bridge === undefined ? "fd00:10:5:200::/64" : "10.5.200.0/24";
    const ran = fabric.heddle("peer", "add", "hand", "--subnet", subnet, "--public-ip", vtep.ip);
    expect(ran.err).toBe("");
  }
  const [, second] = containers;
  if (second === undefined) throw new Error("no container");
  for (const [theirs, ours] of [
    [second.ipv4, "10.5.200.1"],
    [second.ipv6, "fd00:10:5:200::1"],
  ] as const) {
    if (theirs === null) continue;
    await until(`${theirs} and ${ours} reach each other`, 10_000, () => {
      const there = fabric.exec(vtep.netns, ["ping", "-n", "-c1", "-W1", theirs]);
      const here = fabric.exec(second.netns, ["ping", "-n", "-c1", "-W1", ours]);
      return there.code === 0 && here.code === 0;
    });
    // From afar too: its own ARP or ND is answered without any frame of ours before.
    fabric.exec(vtep.netns, ["ip", "neigh", "flush", "all"]);
    vtep.forget();
    expect(fabric.exec(vtep.netns, ["ping", "-n", "-c1", "-W2", theirs]).code).toBe(0);
  }
}

function learntBy(fabric: TestFabric, it: Case, name: string): string[] {
  return fabric
    .bridge(name, `fdb show dev ${it.device}`)
    .filter(({ dst, state }) => dst !== undefined && state !== "permanent")
    .map(({ mac, dst }) => `${mac} ${dst}`);
}

function outer(fabric: TestFabric, it: Case): string {
  return underlay(it, fabric.host("h2"));
}

function underlay({ six }: Case, host: DevHost): string {
  return six ? host.ipv6 : host.ip;
}

function macOf(fabric: TestFabric, netns: string): unknown {
  return rows(fabric, netns, ["ip", "-j", "link", "show", "eth0"])[0]?.address;
}

function rows(fabric: TestFabric, netns: string, command: readonly string[]): Row[] {
  const ran = fabric.exec(netns, command);
  if (ran.code !== 0) throw new Error(`${command.join(" ")}: ${ran.err}`);
  const found = ran.out === "" ? [] : (JSON.parse(ran.out) as Row[]);
  // iproute2 prints an empty object for what a filter leaves out.
  return found.filter((row) => Object.keys(row).length > 0);
}
