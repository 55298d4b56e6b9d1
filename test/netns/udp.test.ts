// The udp backend on the real kernel: three hosts whose containers reach each other through the
// packet path of native/, configured by the log, healed like every other backend, restarted while
// packets flow, and joined by a peer that speaks nothing but flannel's wire format. What the kernel
// holds is read with ip and nft.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import type { DevHost } from "../../src/cli/dev-fabric.ts";
import { TestFabric, until } from "../support/fabric.ts";
import { requireRoot } from "../support/netns.ts";
import {
  type KernelView,
  networkOf,
  passesWhole,
  pingAll,
  refusalOf,
  sorted,
  subnetsOf,
  viewOf,
} from "../support/overlay.ts";
import { pingStream } from "../support/ping-stream.ts";
import { holdPort } from "../support/port-holder.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const NAMES = ["h1", "h2", "h3"] as const;
const PEERS = NAMES.length - 1;
const HEAL_MS = 2000;
const V4 = { Network: "10.5.0.0/16" };
const V6 = { EnableIPv6: true, IPv6Network: "fd00:10:5::/48" };
const UDP = { Backend: { Type: "udp" } };
interface Case {
  readonly name: string;
  readonly document: object;
  readonly mtu: number;
}

const ONLY4: Case = { name: "IPv4", document: { ...V4, ...UDP }, mtu: 1472 };
const ONLY6: Case = { name: "IPv6", document: { EnableIPv4: false, ...V6, ...UDP }, mtu: 1452 };
const DUAL: Case = { name: "dual-stack", document: { ...V4, ...V6, ...UDP }, mtu: 1472 };

let open: TestFabric | null = null;

async function started(document: object): Promise<TestFabric> {
  const fabric = await TestFabric.create({ hosts: NAMES.length });
  open = fabric;
  await fabric.init(document);
  for (const name of NAMES) fabric.start(name);
  await fabric.ready(NAMES, PEERS);
  return fabric;
}

function sh(fabric: TestFabric, name: string, command: string): void {
  const ran = fabric.exec(fabric.host(name).netns, ["sh", "-ec", command]);
  if (ran.code !== 0) throw new Error(`${command}: ${ran.err}`);
}

describe.skipIf(!requireRoot("udp"))("three hosts over udp", () => {
  afterEach(async () => {
    await open?.close();
    open = null;
  });

  test.each([ONLY4, ONLY6, DUAL])(
    "$name: the promised objects, all pairs ping, whole packets pass",
    holdsWhatIsPromised,
  );

  test("another backend and back: nothing is left over, and packets flow", changesBackend);

  test("a peer that speaks only flannel's format: pings in both directions", speaksPlainly);

  test(
    "a packet path that is not built and a taken port are named, and healed",
    namesWhatIsMissing,
  );

  test("a device of somebody else under our name is named and left alone", leavesForeignDevice);
});

function expected(host: DevHost, mtu: number): Omit<KernelView, "rules"> {
  const { ipv4, ipv6 } = subnetsOf(host);
  const ifname = "heddle0";
  const route = { type: "unicast", dev: ifname, table: "main", flags: [] };
  const link = { ifname, up: true, mtu, ifalias: "heddle default", info_kind: "tun" };
  return {
    links: [{ ...link, inet6_addr_gen_mode: "none" }],
    addrs: sorted([
      ...(ipv4 === null ? [] : [{ ifname, local: networkOf(ipv4), prefixlen: 32 }]),
      ...(ipv6 === null ? [] : [{ ifname, local: networkOf(ipv6), prefixlen: 128 }]),
    ]),
    routes: sorted([
      ...(ipv4 === null ? [] : [{ ...route, dst: "10.5.0.0/16", scope: "link" }]),
      ...(ipv6 === null
        ? []
        : [{ ...route, dst: "fd00:10:5::/48", scope: "global", metric: 1024, pref: "medium" }]),
    ]),
    neighs: [],
    fdb: [],
  };
}

/** The program as it is without `npm run build:native`. */
function withoutPacketPath(dir: string): string {
  const copy = join(dir, "bare");
  mkdirSync(join(copy, "scripts"), { recursive: true });
  for (const path of ["src", "bin", "scripts/find-bun.sh", "package.json"]) {
    cpSync(join(ROOT, path), join(copy, path), { recursive: true });
  }
  symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
  return join(copy, "bin", "heddle");
}

const DAMAGES = [
  { name: "the device deleted", run: "ip link del heddle0" },
  { name: "the device set down", run: "ip link set heddle0 down" },
  { name: "the route deleted", run: "ip route del 10.5.0.0/16" },
  { name: "the IPv6 route deleted", run: "ip -6 route del fd00:10:5::/48" },
  { name: "the addresses flushed", run: "ip addr flush dev heddle0" },
  { name: "the MTU changed", run: "ip link set heddle0 mtu 1300" },
  { name: "our mark taken off", run: "ip link set heddle0 alias ''" },
] as const;

describe.skipIf(!requireRoot("udp"))("a damaged udp host", () => {
  let fabric: TestFabric;

  beforeAll(async () => {
    fabric = await started(DUAL.document);
    open = null;
    await pingAll(fabric, NAMES);
  });
  afterAll(async () => await fabric?.close());

  test.each(DAMAGES)(
    "$name: right again within two seconds, and packets flow",
    async ({ name, run }) => {
      const before = viewOf(fabric, "h1");
      sh(fabric, "h1", run);
      const right = (): boolean => Bun.deepEquals(viewOf(fabric, "h1"), before);
      const ms = await until(`${name}: healed`, HEAL_MS, right);
      console.log(`udp, ${name}: healed after ${ms.toFixed(0)} ms`);
      await pingAll(fabric, NAMES);
      await fabric.ready(["h1"], PEERS);
    },
  );

  test("a peer that moves: the others' tunnels follow the log", () => followsPeer(fabric));

  test("killed and stopped and started again while packets flow: the device stays", () =>
    survivesRestarts(fabric));
});

/** Resolves when a good number of packets has gone through the tunnel of h1. */
async function flowing(fabric: TestFabric): Promise<void> {
  const packets = async (): Promise<number> => {
    const counters = (await fabric.status("h1"))?.tunnel?.peers ?? [];
    return counters.reduce((sum, { rxPackets }) => sum + rxPackets, 0);
  };
  const before = await packets();
  await until("packets flow", 5000, async () => (await packets()) > before + 20);
}

/** How often h1 announced that something about it changed. */
function updatesOf(fabric: TestFabric): number {
  const updates = fabric.events().filter(({ type }) => type === "NodeUpdated");
  return updates.filter(({ data }) => data?.node === "h1").length;
}

function indexOf(fabric: TestFabric): unknown {
  return fabric.ip("h1", "link show heddle0")[0]?.ifindex;
}

async function holdsWhatIsPromised({ document, mtu }: Case): Promise<void> {
  const fabric = await started(document);
  for (const name of NAMES) {
    const { links, addrs, routes, neighs, fdb } = viewOf(fabric, name);
    expect({ links, addrs, routes, neighs, fdb }).toEqual(expected(fabric.host(name), mtu));
  }
  await pingAll(fabric, NAMES);
  const { netns } = fabric.container("h1");
  const { ipv4, ipv6 } = fabric.container("h2");
  for (const to of [ipv4, ipv6].filter((ip) => ip !== null)) {
    expect(passesWhole(fabric, { netns, to, bytes: mtu })).toBe(true);
    expect(refusalOf(fabric, { netns, to, bytes: mtu + 1 })).toMatch(/message too long/i);
  }
  const tunnel = (await fabric.status("h1"))?.tunnel;
  expect(tunnel?.peers.map(({ name }) => name).sort()).toEqual(["h2", "h3"]);
  expect(tunnel?.peers.every(({ txPackets, rxPackets }) => txPackets * rxPackets > 0)).toBe(true);
  expect(fabric.exec(fabric.host("h1").netns, fabric.command("status", "h1")).out).toMatch(
    /^tunnel +udp port 8285 on /m,
  );
  await until("everybody announces what its tunnel can", 5000, () => {
    const ran = fabric.heddle("nodes", "--json");
    const nodes = JSON.parse(ran.out) as { capabilities: string[] }[];
    return nodes.every(({ capabilities }) => capabilities.includes("offload"));
  });
}

async function changesBackend(): Promise<void> {
  const fabric = await started(DUAL.document);
  for (const name of NAMES) fabric.container(name);
  for (const [type, device] of [
    ["vxlan", "heddle.1"],
    ["udp", "heddle0"],
  ] as const) {
    await fabric.init({ ...V4, ...V6, Backend: { Type: type } });
    const follows = (name: string): boolean => {
      const { links, routes } = viewOf(fabric, name);
      const wrong = (dev: unknown): boolean => (dev === "heddle0") !== (type === "udp");
      const some = links.some(({ ifname }) => ifname === device);
      const none = !links.some(({ ifname }) => wrong(ifname));
      return some && none && !routes.some(({ dev }) => wrong(dev));
    };
    await until(`all hosts have ${device} only`, 10_000, () => NAMES.every(follows));
    await fabric.ready(NAMES, PEERS);
    await pingAll(fabric, NAMES);
  }
  expect(fabric.down("h3").code).toBe(0);
  expect(fabric.ip("h3", "link show").some(({ ifname }) => ifname === "heddle0")).toBe(false);
}

async function speaksPlainly(): Promise<void> {
  const fabric = await started(ONLY4.document);
  const [wire, local] = [fabric.dev.switch, "198.18.0.254"];
  const added = fabric.heddle(
    ...["peer", "add", "flannel", "--subnet", "10.5.200.0/24", "--public-ip", local],
  );
  expect(added.code).toBe(0);
  await fabric.ready(["h1"], PEERS + 1);
  const h1 = fabric.container("h1");
  const remote = fabric.host("h1").ip;
  const peer = (from: string) =>
    fabric.spawn(wire, [
      ...[process.execPath, join(ROOT, "test/support/plain-peer.ts")],
      ...[local, "8285", remote, from, h1.ipv4 ?? ""],
    ]);
  const honest = peer("10.5.200.7");
  try {
    const lines = honest.stdout.pipeThrough(new TextDecoderStream()).getReader();
    expect((await lines.read()).value).toStartWith("bound");
    expect((await lines.read()).value).toContain(`answered ${h1.ipv4}`);
    const ping = ["ping", "-n", "-c", "3", "-i", "0.1", "-W", "2", "10.5.200.9"];
    expect(fabric.exec(h1.netns, ping).code).toBe(0);
  } finally {
    honest.kill();
    await honest.exited;
  }
  // The same peer with an inner source that is h2's: counted, and never delivered.
  const before = (await fabric.status("h1"))?.tunnel?.counters.rx_drop_source ?? 0;
  const liar = peer(subnetsOf(fabric.host("h2")).ipv4?.replace(".0/24", ".9") ?? "");
  try {
    await until("forged packets are counted", 5000, async () => {
      const now = (await fabric.status("h1"))?.tunnel?.counters.rx_drop_source ?? 0;
      return now > before + 3;
    });
  } finally {
    liar.kill();
  }
  expect(await new Response(liar.stdout).text()).not.toContain("answered");
}

async function namesWhatIsMissing(): Promise<void> {
  const fabric = await TestFabric.create({ hosts: 1 });
  open = fabric;
  await fabric.init(ONLY4.document);
  const holder = await holdPort(fabric);
  const problem = async (words: string): Promise<void> => {
    await until(`h1 says: ${words}`, 10_000, async () => {
      return (await fabric.status("h1"))?.problems.some((line) => line.includes(words)) ?? false;
    });
  };
  try {
    fabric.startAs([withoutPacketPath(fabric.dir)], "h1");
    await problem("the packet path is not built: run npm run build:native");
    await fabric.end("h1", "SIGTERM");
    fabric.start("h1");
    await problem("UDP 198.18.0.1 port 8285: taken by another process");
  } finally {
    await holder.release();
  }
  await fabric.ready(["h1"], 0);
}

async function leavesForeignDevice(): Promise<void> {
  const fabric = await TestFabric.create({ hosts: 1 });
  open = fabric;
  await fabric.init(ONLY4.document);
  sh(fabric, "h1", "ip link add heddle0 type bridge");
  const index = indexOf(fabric);
  fabric.start("h1");
  await until("h1 says so", 10_000, async () => {
    const words = "device heddle0 exists and is not ours (kind bridge)";
    return (await fabric.status("h1"))?.problems.some((line) => line.includes(words)) ?? false;
  });
  expect(indexOf(fabric)).toBe(index);
  sh(fabric, "h1", "ip link del heddle0");
  await fabric.ready(["h1"], 0);
}

async function followsPeer(fabric: TestFabric): Promise<void> {
  sh(fabric, "h3", "ip addr del 198.18.0.3/24 dev eth0; ip addr add 198.18.0.33/24 dev eth0");
  await until("h1 and h2 know where h3 is", 15_000, async () => {
    const statuses = await Promise.all(["h1", "h2"].map((name) => fabric.status(name)));
    return statuses.every((status) =>
      status?.peers.some(
        ({ node, publicIp, state }) =>
          node === "h3" && publicIp === "198.18.0.33" && state === "applied",
      ),
    );
  });
  await until("h3 listens there", 5000, async () => {
    return (await fabric.status("h3"))?.tunnel?.listen.includes("198.18.0.33") ?? false;
  });
  await pingAll(fabric, NAMES);
}

async function survivesRestarts(fabric: TestFabric): Promise<void> {
  const before = viewOf(fabric, "h1");
  const device = indexOf(fabric);
  const said = updatesOf(fabric);
  for (const signal of ["SIGKILL", "SIGTERM"] as const) {
    const args = "-i 0.01";
    const streams = [
      pingStream(fabric, { from: "h1", to: "h2", args }),
      pingStream(fabric, { from: "h2", to: "h1", args }),
    ];
    await flowing(fabric);
    await fabric.end("h1", signal);
    const startMs = performance.now();
    const orphaned = viewOf(fabric, "h1");
    fabric.start("h1");
    await fabric.ready(["h1"], PEERS);
    const readyMs = performance.now() - startMs;
    await pingAll(fabric, NAMES);
    const counts = await Promise.all(streams.map((stream) => stream.stop()));
    const gaps = counts.map(({ lost }) => `${lost.length * 10} ms`).join(" and ");
    console.log(`udp, ${signal}: ready after ${readyMs.toFixed(0)} ms, gap ${gaps}`);
    expect(indexOf(fabric)).toBe(device);
    // Nobody reads the device meanwhile, so it soon has no carrier; routes and addresses stay.
    const lasting = ({ routes, addrs }: KernelView): unknown => [
      routes.map((route) => ({ ...route, flags: [] })),
      addrs,
    ];
    expect(lasting(orphaned)).toEqual(lasting(before));
    expect(viewOf(fabric, "h1")).toEqual(before);
    for (const { sent, lost } of counts) {
      expect(sent).toBeGreaterThan(lost.length);
      expect(lost.length * 10).toBeLessThan(readyMs + 1000);
    }
  }
  // The next process can do what the last one could: there is nothing to announce.
  expect(updatesOf(fabric)).toBe(said);
}
