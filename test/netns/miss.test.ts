// Entries on demand on the real kernel, the first packet: it waits for the answer and arrives,
// whoever sends it, however many there are and however busy the host is; what nobody owns is
// refused without a question. One namespace stands in for all peers (test/support/everyone.ts).

import { afterEach, describe, expect, test } from "bun:test";
import { numbers } from "../support/everyone.ts";
import { everyoneGiven } from "../support/everyone-given.ts";
import { until } from "../support/fabric.ts";
import { requireRoot } from "../support/netns.ts";

const V4 = { Network: "10.0.0.0/8", SubnetLen: 24 };
const V6 = { EnableIPv6: true, IPv6Network: "fd00:5::/48" };
const ON_MISS = { Type: "vxlan", Mode: "on-miss" };
const root = requireRoot("entries on demand");

const given = everyoneGiven();
const busy: Bun.Subprocess[] = [];
afterEach(() => {
  for (const child of busy.splice(0)) child.kill("SIGKILL");
});

describe.skipIf(!root)("the first packet to a fresh peer", () => {
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
  ])("$name: the first packet to a fresh peer arrives", async ({ families, bridged, family }) => {
    const it = await given(41, { config: { ...families, Backend: ON_MISS }, bridged });
    expect(it.entries()).toEqual({ neighs: [], fdb: [] });
    const peers = numbers(2, 41);
    expect(await it.pingEach(peers.map((i) => it.address(i, family)))).toBe(40);
    expect(it.entries().neighs).toHaveLength(40);
    expect(it.agent.status().misses).toMatchObject({ held: 40, answered: 40, unknown: 0 });
  });

  test("200 fresh destinations on busy cores: none is lost, the log tells of each", async () => {
    const it = await given(200, { config: { ...V4, Backend: ON_MISS } });
    for (let i = 0; i < 2; i++) busy.push(Bun.spawn(["sh", "-c", "while :; do :; done"]));
    const peers = numbers(2, 201);
    expect(await it.pingEach(peers.map((i) => it.address(i)))).toBe(200);
    for (const child of busy.splice(0)) child.kill("SIGKILL");
    await until("the log tells of all", 8000, () => it.state().held.subnets.size === 200);
    const answered = it.events("NeighborMissed").flatMap(({ data }) => data.answered);
    expect(answered.map(({ peer }) => peer).sort()).toEqual(peers.map((i) => `h${i}`).sort());
    for (const { waitedUs } of answered) expect(waitedUs).toBeGreaterThan(0);
    expect(it.told()).toEqual(it.entries());
  });
});

describe.skipIf(!root)("what is not talked to costs nothing", () => {
  test("of 10 000 peers a host holds the 20 that it talks to; joins cost no entry", async () => {
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
  });

  test("a scan of the whole /16 costs no entry, no event, and nobody else a packet", async () => {
    const it = await given(5, { config: { Network: "10.5.0.0/16", Backend: ON_MISS } });
    // Before the scan: the kernel tells one sender so about once a second.
    expect(await it.ping("-c1", "-W3", "10.5.200.7")).toMatch(/Unreachable/);
    const stream = it.ping("-q", "-i", "0.005", "-c", "400", it.address(2));
    await until("the stream is on", 4000, () => it.entries().neighs.length === 1);
    const before = it.log.truth.records.length;
    const scan = `const s = require("node:dgram").createSocket("udp4");
        s.on("error", () => undefined);
        const to = (i) => "10.5." + (i >> 8) + "." + (i & 255);
        for (let i = 0; i < 65536; i++) s.send("x", 9, to(i), () => undefined);
        setTimeout(() => process.exit(0), 1500);`;
    await it.run(process.execPath, "-e", scan);
    expect(await stream).toContain(" 0% packet loss");
    // All five peers were scanned too.
    expect(it.entries().neighs).toHaveLength(5);
    expect(it.host.ipJson("neigh show dev heddle.1 nud all")).toHaveLength(5);
    // Of these alone it is told.
    const missed = it.events("NeighborMissed");
    expect(missed.filter(({ data }) => data.answered.length === 0)).toEqual([]);
    expect(missed.flatMap(({ data }) => data.unknown)).toEqual([]);
    const others = it.log.truth.records.slice(before).map(({ subject }) => subject);
    expect(others.filter((subject) => !subject.endsWith(".miss"))).toEqual([]);
    expect(it.agent.status().misses).toMatchObject({ answered: 5, unknown: 0 });
  });

  test("questions that overran the socket are answered all the same", async () => {
    const config = { ...V4, Backend: ON_MISS };
    const it = await given(300, { config, misses: { receiveBuffer: 8192, thread: false } });
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
  });
});
