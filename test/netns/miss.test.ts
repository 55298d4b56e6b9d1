// Entries on demand on the real kernel: the first packet to a peer waits and arrives, whoever sends
// it and however many there are; what nobody owns is refused at once; what is idle goes. One
// namespace stands in for all peers, the agent runs in this process (test/support/everyone.ts).

import { afterEach, describe, expect, test } from "bun:test";
import { desired } from "../../src/reconcilers/desired.ts";
import { Everyone, type EveryoneOptions } from "../support/everyone.ts";
import { until } from "../support/fabric.ts";
import { requireRoot } from "../support/netns.ts";

const V4 = { Network: "10.0.0.0/8", SubnetLen: 24 };
const V6 = { EnableIPv6: true, IPv6Network: "fd00:5::/48" };
const ON_MISS = { Type: "vxlan", Mode: "on-miss" };
const LIMIT_MS = 30_000;

let open: Everyone | null = null;
const busy: Bun.Subprocess[] = [];
afterEach(async () => {
  for (const child of busy.splice(0)) child.kill("SIGKILL");
  await open?.close();
  open = null;
});

async function given(peers: number, options: EveryoneOptions): Promise<Everyone> {
  open = new Everyone(options);
  await open.populate(peers);
  await open.start();
  open.attach();
  return open;
}

/** Numbers from `first` to `last`. */
function numbers(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

/** What the log alone says that the host should hold, as iproute2 shows it. */
function told(it: Everyone): { neighs: string[]; fdb: string[] } {
  const { neighs, fdb } = desired(it.state(), "h1").kernel;
  const texts = (values: Iterable<string>): string[] => [...values].sort();
  return {
    neighs: texts(Array.from(neighs.values(), ({ ip }) => ip)),
    fdb: texts(Array.from(fdb.values(), ({ dst }) => dst)),
  };
}

describe.skipIf(!requireRoot("entries on demand"))("entries on demand", () => {
  test.each([
    { name: "IPv4, containers routed", families: V4, bridged: false, family: "ipv4" as const },
    { name: "IPv4, behind a bridge", families: V4, bridged: true, family: "ipv4" as const },
    {
      name: "IPv6, containers routed",
      families: { EnableIPv4: false, ...V6 },
      bridged: false,
      family: "ipv6" as const,
    },
    {
      name: "dual-stack, behind a bridge",
      families: { ...V4, ...V6 },
      bridged: true,
      family: "ipv6" as const,
    },
  ])(
    "$name: the first packet to a fresh peer arrives",
    async ({ families, bridged, family }) => {
      const it = await given(41, { config: { ...families, Backend: ON_MISS }, bridged });
      expect(it.entries()).toEqual({ neighs: [], fdb: [] });
      const peers = numbers(2, 41);
      expect(await it.pingEach(peers.map((i) => it.address(i, family)))).toBe(40);
      expect(it.entries().neighs).toHaveLength(40);
      expect(it.agent.status().misses).toMatchObject({ held: 40, answered: 40, unknown: 0 });
    },
    LIMIT_MS,
  );

  test(
    "200 fresh destinations while both cores are busy: none is lost, and the log tells of each",
    async () => {
      const it = await given(200, { config: { ...V4, Backend: ON_MISS } });
      for (let i = 0; i < 2; i++) busy.push(Bun.spawn(["sh", "-c", "while :; do :; done"]));
      const peers = numbers(2, 201);
      expect(await it.pingEach(peers.map((i) => it.address(i)))).toBe(200);
      for (const child of busy.splice(0)) child.kill("SIGKILL");
      await until("the log tells of all", 8000, () => it.state().held.subnets.size === 200);
      const answered = it.events("NeighborMissed").flatMap(({ data }) => data.answered);
      expect(answered.map(({ peer }) => peer).sort()).toEqual(peers.map((i) => `h${i}`).sort());
      for (const { waitedUs } of answered) expect(waitedUs).toBeGreaterThan(0);
      expect(told(it)).toEqual(it.entries());
    },
    LIMIT_MS,
  );

  test(
    "of 10 000 peers a host holds the 20 that it talks to, and more joins cost no entry",
    async () => {
      const it = await given(10_000, { config: { ...V4, Backend: ON_MISS } });
      const active = numbers(100, 119);
      expect(await it.pingEach(active.map((i) => it.address(i)))).toBe(20);
      expect(it.entries().neighs).toHaveLength(20);
      expect(it.entries().fdb).toHaveLength(20);
      await it.join(10_002, 10_021);
      const routes = () => it.host.ip("route show proto 104").split("\n").length - 1;
      await until("the routes of all", 10_000, () => routes() === 10_021);
      expect(it.entries().neighs).toHaveLength(20);
      expect(await it.pingEach([it.address(10_021)])).toBe(1);
      expect(it.entries().fdb).toHaveLength(21);
    },
    LIMIT_MS,
  );

  test(
    "a scan of the whole /16 costs no entry, no event, and nobody else a packet",
    async () => {
      const it = await given(5, { config: { Network: "10.5.0.0/16", Backend: ON_MISS } });
      // Before the scan: the kernel tells one sender so about once a second.
      expect(await it.ping("-c1", "-W3", "10.5.200.7")).toMatch(/Unreachable/);
      const stream = it.ping("-q", "-i", "0.005", "-c", "400", it.address(2));
      await until("the stream is on", 4000, () => it.entries().neighs.length === 1);
      const events = it.log.truth.records.length;
      const scan = `const s = require("node:dgram").createSocket("udp4");
        s.on("error", () => undefined);
        for (let i = 0; i < 65536; i++) s.send("x", 9, "10.5." + (i >> 8) + "." + (i & 255), () => {});
        setTimeout(() => process.exit(0), 1500);`;
      await it.run(process.execPath, "-e", scan);
      expect(await stream).toContain(" 0% packet loss");
      // All five peers were scanned too.
      expect(it.entries().neighs).toHaveLength(5);
      expect(it.host.ipJson("neigh show dev heddle.1 nud all")).toHaveLength(5);
      expect(it.log.truth.records.length - events).toBeLessThanOrEqual(6);
      expect(it.agent.status().misses).toMatchObject({ answered: 5, unknown: 0 });
    },
    LIMIT_MS,
  );

  test(
    "questions that overran the socket are answered all the same",
    async () => {
      const config = { ...V4, Backend: ON_MISS };
      const it = await given(300, { config, receiveBuffer: 8192 });
      const { gaps } = it;
      const addresses = numbers(2, 301).map((i) => it.address(i));
      const script = addresses.map((ip) => `ping -n -q -c1 -W6 ${ip} &`).join(" ");
      const all = it.run("sh", "-c", `${script} wait`);
      // The agent does nothing while the questions come in.
      const blockedUntil = performance.now() + 1500;
      while (performance.now() < blockedUntil);
      expect((await all).split(" 1 received").length - 1).toBe(300);
      expect(it.gaps).toBeGreaterThan(gaps);
      expect(it.entries().neighs).toHaveLength(300);
    },
    LIMIT_MS,
  );

  test(
    "what is idle goes and what is in use stays; the log alone tells which",
    async () => {
      const it = await given(5, { config: { ...V4, Backend: ON_MISS }, idleMs: 1500 });
      const stream = it.ping("-q", "-i", "0.1", "-c", "60", it.address(2));
      expect(await it.pingEach([3, 4].map((i) => it.address(i)))).toBe(2);
      expect(it.entries().neighs).toHaveLength(3);
      await until("the log tells of three", 4000, () => it.state().held.subnets.size === 3);
      await until("two are gone", 8000, () => it.entries().neighs.length === 1);
      await until("the log tells", 4000, () => it.events("NeighborAged").length > 0);
      expect(it.entries()).toEqual({ neighs: ["10.5.2.0"], fdb: ["198.18.0.2"] });
      expect(told(it)).toEqual(it.entries());
      expect(await stream).toContain(" 0% packet loss");
      expect(await it.pingEach([it.address(3)])).toBe(1);
    },
    LIMIT_MS,
  );

  test(
    "hybrid keeps those used last however long they rest",
    async () => {
      const Backend = { Type: "vxlan", Mode: "hybrid", HotPeers: 2 };
      const it = await given(6, { config: { ...V4, Backend }, idleMs: 1000 });
      // One after the other: the kernel counts in hundredths of a second.
      for (const i of [2, 3, 4]) await it.ping("-c2", "-i0.1", it.address(i));
      await until("one is gone", 8000, () => it.entries().neighs.length === 2);
      expect(it.entries().neighs).toEqual(["10.5.3.0", "10.5.4.0"]);
      await until("the log tells", 4000, () => it.state().held.subnets.size === 2);
      // After a reboot the kernel is empty; the log knows whom it talked to.
      await it.stop();
      it.host.ip("link del heddle.1");
      await it.start();
      expect(it.entries().neighs).toEqual(["10.5.3.0", "10.5.4.0"]);
    },
    LIMIT_MS,
  );

  test(
    "an agent that ends takes nothing along, and its successor adopts what it finds",
    async () => {
      const it = await given(4, { config: { ...V4, Backend: ON_MISS }, idleMs: 2000 });
      const stream = it.ping("-q", "-i", "0.01", "-c", "400", it.address(2));
      expect(await it.pingEach([it.address(3)])).toBe(1);
      await until("both", 2000, () => it.entries().neighs.length === 2);
      await it.stop();
      expect(it.entries().neighs).toEqual(["10.5.2.0", "10.5.3.0"]);
      // Nobody answers now; the packet waits for the next agent.
      const late = it.pingEach([it.address(4)]);
      await until("it waits", 3000, () => pending(it) === 1);
      await it.start();
      expect(await late).toBe(1);
      await until("the idle one is gone", 8000, () => !it.entries().neighs.includes("10.5.3.0"));
      expect(await stream).toContain(" 0% packet loss");
    },
    LIMIT_MS,
  );

  test(
    "a peer that moves, changes its MAC address or leaves is put right at once",
    async () => {
      const it = await given(3, { config: { ...V4, Backend: ON_MISS } });
      expect(await it.pingEach([2, 3].map((i) => it.address(i)))).toBe(2);
      await it.update("h2", { publicIp: "198.18.7.7", vtepMac: "02:00:00:00:77:77" });
      const moved = { neighs: ["10.5.2.0", "10.5.3.0"], fdb: ["198.18.0.3", "198.18.7.7"] };
      await until("moved", 2000, () => Bun.deepEquals(it.entries(), moved));
      const [neigh] = it.host.ipJson("neigh show 10.5.2.0 dev heddle.1");
      expect(neigh?.lladdr).toBe("02:00:00:00:77:77");
      expect(await it.pingEach([it.address(2)])).toBe(1);
      await it.append({ type: "NodeLeft", data: { node: "h3", reason: "over" } });
      await until("left", 2000, () => it.entries().neighs.length === 1);
      expect(await it.ping("-c1", "-W3", it.address(3))).toMatch(/Unreachable/);
    },
    LIMIT_MS,
  );

  test(
    "an entry that somebody removes is healed, and asked for again when both are gone",
    async () => {
      const it = await given(2, { config: { ...V4, Backend: ON_MISS } });
      expect(await it.pingEach([it.address(2)])).toBe(1);
      const [row] = it.host.ipJson("neigh show 10.5.2.0 dev heddle.1");
      it.host.bridge(`fdb del ${row?.lladdr} dev heddle.1 dst 198.18.0.2 self`);
      await until("healed", 2000, () => it.entries().fdb.length === 1);
      it.host.ip("neigh flush dev heddle.1 nud permanent");
      expect(await it.pingEach([it.address(2)])).toBe(1);
      it.host.exec(["sysctl", "-qw", "net.ipv4.neigh.heddle/1.app_solicit=0"]);
      const value = () => it.host.exec(["sysctl", "-n", "net.ipv4.neigh.heddle/1.app_solicit"]);
      await until("the switch too", 3000, () => value().trim() === "3");
    },
    LIMIT_MS,
  );

  test(
    "with DirectRouting only peers beyond the link are asked for",
    async () => {
      const Backend = { ...ON_MISS, DirectRouting: true };
      open = new Everyone({ config: { ...V4, Backend } });
      const it = open;
      await it.populate(2);
      await it.join(9, 9, { publicIp: "203.0.113.9" });
      await it.start();
      it.attach();
      expect(await it.pingEach([it.address(9)])).toBe(1);
      expect(it.entries()).toEqual({ neighs: ["10.5.9.0"], fdb: ["203.0.113.9"] });
      const paths = it.agent.status().peers.map(({ node, path }) => `${node} ${path}`);
      expect(paths.sort()).toEqual(["h2 direct", "h3 direct", "h9 on-miss"]);
    },
    LIMIT_MS,
  );

  test(
    "from one mode to another and back, no packet is lost",
    async () => {
      const it = await given(30, { config: V4, idleMs: 500 });
      expect(it.entries().neighs).toHaveLength(30);
      const stream = it.ping("-q", "-i", "0.002", "-c", "2000", it.address(2));
      for (const Mode of ["on-miss", "hybrid", "proactive", "on-miss"]) {
        await it.configure({ ...V4, Backend: { Type: "vxlan", Mode } });
        const held = Mode === "proactive" ? 30 : Mode === "hybrid" ? null : 1;
        await until(`${Mode} applied`, 8000, () => {
          const { misses, state } = it.agent.status();
          const isMode = (misses?.mode ?? "proactive") === Mode;
          return state === "ready" && isMode && [null, it.entries().fdb.length].includes(held);
        });
      }
      expect(await stream).toContain(" 0% packet loss");
      expect(told(it)).toEqual(it.entries());
    },
    LIMIT_MS,
  );

  test(
    "an address of nobody that reaches the tunnel is refused at once, and counted",
    async () => {
      const it = await given(2, { config: { ...V4, Backend: ON_MISS } });
      // Somebody else's route into our device.
      it.host.ip("route add 192.0.2.0/24 dev heddle.1");
      const startMs = performance.now();
      expect(await it.ping("-c1", "-W3", "192.0.2.7")).toMatch(/Unreachable/);
      expect(performance.now() - startMs).toBeLessThan(2000);
      expect(await it.ping("-c5", "-i0.2", "-W1", "192.0.2.7")).toMatch(/0 received/);
      await until("told", 4000, () => it.events("NeighborMissed").length > 0);
      const [first] = it.events("NeighborMissed");
      expect(first?.data.unknown[0]?.address).toBe("192.0.2.7");
      expect(it.agent.status().misses?.unknown).toBeGreaterThan(1);
    },
    LIMIT_MS,
  );
});

/** Neighbours that the kernel looks for. */
function pending(it: Everyone): number {
  return it.host.ipJson("neigh show dev heddle.1 nud incomplete").length;
}
