// Three hosts in each backend and address family: every container reaches every other, and the
// kernel holds exactly the objects that the backend promises, read with ip, bridge and nft. What
// each case expects is put together here from addresses that the test itself chose and from what
// the peers' own kernels say.

import { afterEach, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { DevHost } from "../../src/cli/dev-fabric.ts";
import { TestFabric, until } from "../support/fabric.ts";
import { requireRoot } from "../support/netns.ts";
import {
  type KernelView,
  networkOf,
  passesWhole,
  pingAll,
  type Row,
  refusalOf,
  sorted,
  subnetsOf,
  viewOf,
} from "../support/overlay.ts";

const NAMES = ["h1", "h2", "h3"] as const;
const V4 = { Network: "10.5.0.0/16" };
const V6 = { EnableIPv6: true, IPv6Network: "fd00:10:5::/48" };
const NO_V4 = { EnableIPv4: false };

type Family = "ipv4" | "ipv6";

interface Tunnel {
  readonly family: Family;
  readonly device: string;
  readonly mtu: number;
}

interface Case {
  readonly name: string;
  readonly document: object;
  readonly underlayMtu?: number;
  readonly families: readonly Family[];
  /** Empty for backends without a device. */
  readonly tunnels: readonly Tunnel[];
  /** FLANNEL_MTU. */
  readonly mtu: number;
}

interface Lease {
  readonly node: string;
  readonly subnets: readonly string[];
}

const tunnel4 = { family: "ipv4", device: "heddle.1", mtu: 1450 } as const;
const tunnel6 = { family: "ipv6", device: "heddle-v6.1", mtu: 1430 } as const;

const CASES: readonly Case[] = [
  {
    name: "vxlan, IPv4",
    document: { ...V4, Backend: { Type: "vxlan" } },
    families: ["ipv4"],
    tunnels: [tunnel4],
    mtu: 1450,
  },
  {
    name: "vxlan, IPv6 only",
    document: { ...NO_V4, ...V6, Backend: { Type: "vxlan" } },
    families: ["ipv6"],
    tunnels: [tunnel6],
    mtu: 1430,
  },
  {
    name: "vxlan, dual-stack",
    document: { ...V4, ...V6, Backend: { Type: "vxlan" } },
    families: ["ipv4", "ipv6"],
    tunnels: [tunnel4, tunnel6],
    mtu: 1430,
  },
  {
    name: "vxlan with its own VNI, port and jumbo frames",
    document: { ...V4, Backend: { Type: "vxlan", VNI: 7, Port: 4789 } },
    underlayMtu: 9000,
    families: ["ipv4"],
    tunnels: [{ ...tunnel4, device: "heddle.7", mtu: 8950 }],
    mtu: 8950,
  },
  {
    name: "host-gw, IPv4",
    document: { ...V4, Backend: { Type: "host-gw" } },
    families: ["ipv4"],
    tunnels: [],
    mtu: 1500,
  },
  {
    name: "host-gw, dual-stack",
    document: { ...V4, ...V6, Backend: { Type: "host-gw" } },
    families: ["ipv4", "ipv6"],
    tunnels: [],
    mtu: 1500,
  },
];

let open: TestFabric | null = null;

async function fabricOf(options: { document: object; underlayMtu?: number }): Promise<TestFabric> {
  const { document, underlayMtu } = options;
  const fabric = await TestFabric.create({
    hosts: NAMES.length,
    ...(underlayMtu === undefined ? {} : { underlayMtu }),
  });
  open = fabric;
  await fabric.init(document);
  return fabric;
}

async function started(fabric: TestFabric, ...extra: string[]): Promise<void> {
  for (const name of NAMES) fabric.start(name, ...extra);
  await fabric.ready(NAMES, NAMES.length - 1);
}

afterEach(async () => {
  await open?.close();
  open = null;
});

describe.skipIf(!requireRoot("connectivity"))("three hosts", () => {
  test.each(CASES)("$name: exactly the promised objects, and all pairs ping", async (it) => {
    const fabric = await fabricOf(it);
    await started(fabric);
    const leases = leasesOf(fabric);
    for (const name of NAMES) {
      expect(viewOf(fabric, name)).toEqual(expectedView(fabric, it, name));
      expect(readFileSync(fabric.host(name).subnetFile, "utf8")).toBe(subnetEnv(leases, it, name));
      expect(forwarding(fabric, name, it.families)).toEqual(it.families.map(() => "1"));
    }
    await pingAll(fabric, NAMES);
    checkSizes(fabric, it);
  });
});

function expectedView(fabric: TestFabric, it: Case, name: string): KernelView {
  const self = fabric.host(name);
  const peers = NAMES.filter((peer) => peer !== name).map((peer) => fabric.host(peer));
  const perPeer = (make: (peer: DevHost, family: Family) => readonly Row[]): Row[] =>
    sorted(it.families.flatMap((family) => peers.flatMap((peer) => make(peer, family))));
  const tunnelOf = (family: Family): Tunnel | undefined =>
    it.tunnels.find((tunnel) => tunnel.family === family);
  return {
    links: sorted(it.tunnels.map((tunnel) => expectedLink(fabric, it, tunnel, self))),
    addrs: sorted(
      it.tunnels.map(({ family, device }) => ({
        ifname: device,
        local: networkOf(subnet(self, family)),
        prefixlen: family === "ipv4" ? 32 : 128,
      })),
    ),
    routes: perPeer((peer, family) => [expectedRoute(peer, family, tunnelOf(family))]),
    neighs: perPeer((peer, family) => {
      const dev = tunnelOf(family)?.device;
      if (dev === undefined) return [];
      const [dst, lladdr] = [networkOf(subnet(peer, family)), macOf(fabric, peer, dev)];
      return [{ dst, dev, lladdr, state: ["PERMANENT"], protocol: "104" }];
    }),
    fdb: perPeer((peer, family) => {
      const ifname = tunnelOf(family)?.device;
      if (ifname === undefined) return [];
      const [mac, dst] = [macOf(fabric, peer, ifname), underlay(peer, family)];
      return [{ mac, ifname, dst, flags: ["self"], state: "permanent" }];
    }),
    rules: expectedRules(it.families),
  };
}

function expectedLink(fabric: TestFabric, it: Case, tunnel: Tunnel, self: DevHost): Row {
  const { Backend } = it.document as { Backend: { VNI?: number; Port?: number } };
  return {
    ifname: tunnel.device,
    up: true,
    mtu: tunnel.mtu,
    // Of its own kernel; that peers hold the same one is what the neighbour entries say.
    address: macOf(fabric, self, tunnel.device),
    ifalias: "heddle default",
    info_kind: "vxlan",
    inet6_addr_gen_mode: "none",
    id: Backend.VNI ?? 1,
    local: underlay(self, tunnel.family),
    link: "eth0",
    port: Backend.Port ?? 8472,
    learning: false,
    ttl: 0,
    ageing: 300,
  };
}

function expectedRoute(peer: DevHost, family: Family, tunnel: Tunnel | undefined): Row {
  const dst = subnet(peer, family);
  return {
    type: "unicast",
    dst,
    gateway: tunnel === undefined ? underlay(peer, family) : networkOf(dst),
    dev: tunnel?.device ?? "eth0",
    table: "main",
    scope: "global",
    ...(family === "ipv6" ? { metric: 1024 } : {}),
    flags: tunnel === undefined ? [] : ["onlink"],
    ...(family === "ipv6" ? { pref: "medium" } : {}),
  };
}

const POOL = {
  ipv4: { protocol: "ip", prefix: { addr: "10.5.0.0", len: 16 } },
  ipv6: { protocol: "ip6", prefix: { addr: "fd00:10:5::", len: 48 } },
} as const;

function expectedRules(families: readonly Family[]): Row[] {
  const at = { family: "inet", table: "heddle_default" };
  const hook = { type: "filter", hook: "forward", prio: 0, policy: "accept" };
  const accept = ({ protocol, prefix }: (typeof POOL)[Family], field: string): Row => {
    const left = { payload: { protocol, field } };
    const expr = [{ match: { op: "==", left, right: { prefix } } }, { accept: null }];
    return { rule: { ...at, chain: "forward", expr } };
  };
  return [
    { table: { family: "inet", name: "heddle_default" } },
    { chain: { ...at, name: "forward", ...hook } },
    ...families.flatMap((family) => ["saddr", "daddr"].map((side) => accept(POOL[family], side))),
  ];
}

function leasesOf(fabric: TestFabric): Lease[] {
  return JSON.parse(fabric.heddle("leases", "--json").out) as Lease[];
}

/** The lease is taken from the log; the rest of the file from the configuration. */
function subnetEnv(leases: readonly Lease[], it: Case, name: string): string {
  const own = leases.find(({ node }) => node === name)?.subnets ?? [];
  const four = own.find((cidr) => !cidr.includes(":"))?.replace(".0/", ".1/");
  const six = own.find((cidr) => cidr.includes(":"))?.replace("::/", "::1/");
  const lines = [
    ...(four === undefined ? [] : ["FLANNEL_NETWORK=10.5.0.0/16", `FLANNEL_SUBNET=${four}`]),
    ...(six === undefined
      ? []
      : ["FLANNEL_IPV6_NETWORK=fd00:10:5::/48", `FLANNEL_IPV6_SUBNET=${six}`]),
    `FLANNEL_MTU=${it.mtu}`,
    "FLANNEL_IPMASQ=false",
  ];
  return `${lines.join("\n")}\n`;
}

/** What fits the device passes whole, one byte more is refused before it is sent. */
function checkSizes(fabric: TestFabric, it: Case): void {
  const { netns } = fabric.container("h1");
  const to = fabric.container("h2");
  const inside = [to.ipv4, to.ipv6].filter((ip) => ip !== null);
  expect(inside.length).toBe(it.families.length);
  for (const ip of inside) {
    expect(passesWhole(fabric, { netns, to: ip, bytes: it.mtu })).toBe(true);
    expect(refusalOf(fabric, { netns, to: ip, bytes: it.mtu + 1 })).toMatch(/message too long/i);
  }
  // From the host itself, which knows only the device; to the peer's end of the tunnel.
  const host = fabric.host("h1").netns;
  for (const { family, mtu } of it.tunnels) {
    const end = networkOf(subnet(fabric.host("h2"), family));
    expect(passesWhole(fabric, { netns: host, to: end, bytes: mtu })).toBe(true);
    const tooBig = refusalOf(fabric, { netns: host, to: end, bytes: mtu + 1 });
    expect(tooBig).toMatch(/message too long/i);
  }
}

describe.skipIf(!requireRoot("connectivity"))("three hosts that do not all tunnel", () => {
  test("DirectRouting: plain routes on one link, a tunnel beyond, and it follows", async () => {
    const document = { ...V4, Backend: { Type: "vxlan", DirectRouting: true } };
    const fabric = await fabricOf({ document });
    moveBeyondRouter(fabric);
    await started(fabric, "--ip-masq");
    const [second, third] = [fabric.host("h2"), fabric.host("h3")];
    const direct = (dst: string, via: string): object =>
      expect.objectContaining({ dst, gateway: via, dev: "eth0", flags: [] });
    const tunnelled = (dst: string): object =>
      expect.objectContaining({ dst, gateway: networkOf(dst), dev: "heddle.1" });
    const [two, three] = [subnet(second, "ipv4"), subnet(third, "ipv4")];
    const before = viewOf(fabric, "h1");
    expect(before.routes).toHaveLength(2);
    expect(before.routes).toEqual(
      expect.arrayContaining([direct(two, second.ip), tunnelled(three)]),
    );
    expect(before.neighs.map(({ dst }) => dst)).toEqual([networkOf(three)]);
    expect(before.fdb.map(({ dst }) => dst)).toEqual(["198.18.1.3"]);
    await pingAll(fabric, NAMES);

    // The peer's network comes onto the link: the way becomes direct, nothing stays behind.
    fabric.exec(fabric.host("h1").netns, ["ip", "addr", "add", "198.18.1.1/24", "dev", "eth0"]);
    await until("h1 routes to h3 directly", 4000, () => viewOf(fabric, "h1").neighs.length === 0);
    const after = viewOf(fabric, "h1");
    expect(after.routes).toHaveLength(2);
    expect(after.routes).toEqual(
      expect.arrayContaining([direct(two, second.ip), direct(three, "198.18.1.3")]),
    );
    expect(after.fdb).toEqual([]);
    await pingAll(fabric, NAMES);
    checkMasquerade(fabric);
  });

  test("alloc: leases and subnet.env, and nothing in the kernel", async () => {
    const fabric = await fabricOf({ document: { ...V4, Backend: { Type: "alloc" } } });
    await started(fabric);
    const subnets = new Set<string>();
    for (const name of NAMES) {
      const view = viewOf(fabric, name);
      expect(view).toEqual({ links: [], addrs: [], routes: [], neighs: [], fdb: [], rules: [] });
      expect(forwarding(fabric, name, ["ipv4", "ipv6"])).toEqual(["0", "0"]);
      const own = subnet(fabric.host(name), "ipv4");
      expect(readFileSync(fabric.host(name).subnetFile, "utf8")).toBe(
        `FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=${own.replace(".0/", ".1/")}\n` +
          "FLANNEL_MTU=1500\nFLANNEL_IPMASQ=false\n",
      );
      subnets.add(own);
    }
    expect(subnets.size).toBe(NAMES.length);
  });
});

/** h3 is on 198.18.1.0/24, behind the switch as a router. */
function moveBeyondRouter(fabric: TestFabric): void {
  const wire = fabric.dev.switch;
  const [first, second, third] = NAMES.map((name) => fabric.host(name).netns);
  const steps: readonly (readonly [string | undefined, string])[] = [
    [wire, "ip addr add 198.18.1.254/24 dev br0"],
    [wire, "sysctl -qw net.ipv4.ip_forward=1"],
    // A redirect would put the hosts onto the shorter way behind our back.
    [wire, "sysctl -qw net.ipv4.conf.br0.send_redirects=0 net.ipv4.conf.all.send_redirects=0"],
    [third, "ip addr del 198.18.0.3/24 dev eth0"],
    [third, "ip addr add 198.18.1.3/24 dev eth0"],
    [third, "ip route add 198.18.0.0/24 via 198.18.1.254"],
    [first, "ip route add 198.18.1.0/24 via 198.18.0.254"],
    [second, "ip route add 198.18.1.0/24 via 198.18.0.254"],
  ];
  for (const [netns = "", command] of steps) {
    const ran = fabric.exec(netns, command.split(" "));
    if (ran.code !== 0) throw new Error(`${command}: ${ran.err}`);
  }
}

/** What leaves the fabric carries the host's address; what stays in it keeps the container's. */
function checkMasquerade(fabric: TestFabric): void {
  const { netns } = fabric.container("h1");
  const outside = fabric.exec(netns, ["ping", "-n", "-c1", "-W2", "198.18.0.254"]);
  expect(outside.code).toBe(0);
  const counter =
    "add table ip seen; add chain ip seen in { type filter hook input priority 0; }; ";
  const from = fabric.container("h1").ipv4;
  const rule = `add rule ip seen in ip saddr ${from} icmp type echo-request counter`;
  const there = fabric.container("h2");
  expect(fabric.exec(there.netns, ["nft", counter + rule]).code).toBe(0);
  fabric.exec(netns, ["ping", "-n", "-c1", "-W2", there.ipv4 ?? ""]);
  const seen = fabric.exec(there.netns, ["nft", "list", "table", "ip", "seen"]).out;
  expect(seen).toContain("counter packets 1 ");
}

function subnet(host: DevHost, family: Family): string {
  const found = subnetsOf(host)[family];
  if (found === null) throw new Error(`${host.name} has no ${family} subnet`);
  return found;
}

function underlay(host: DevHost, family: Family): string {
  return family === "ipv4" ? host.ip : host.ipv6;
}

function macOf(fabric: TestFabric, host: DevHost, device: string): unknown {
  return fabric.ip(host.name, `link show ${device}`)[0]?.address;
}

function forwarding(fabric: TestFabric, name: string, families: readonly Family[]): string[] {
  const key = { ipv4: "net.ipv4.ip_forward", ipv6: "net.ipv6.conf.all.forwarding" };
  const { netns } = fabric.host(name);
  return families.map((family) => fabric.exec(netns, ["sysctl", "-n", key[family]]).out);
}
