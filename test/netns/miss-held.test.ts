// Entries on demand on the real kernel, what is held: it outlives the agent, goes when it is idle
// and not before, follows the log at once, and survives a change of the mode. The log alone tells
// what it is.

import { describe, expect, test } from "bun:test";
import type { Everyone } from "../support/everyone.ts";
import { everyoneGiven } from "../support/everyone-given.ts";
import { until } from "../support/fabric.ts";
import { requireRoot } from "../support/netns.ts";
import { Pinger } from "../support/pinger.ts";
import { Stopwatch } from "../support/stopwatch.ts";

const V4 = { Network: "10.0.0.0/8", SubnetLen: 24 };
const ON_MISS = { Type: "vxlan", Mode: "on-miss" };
const root = requireRoot("entries on demand");

const given = everyoneGiven();

describe.skipIf(!root)("held entries age", () => {
  test("what is idle goes and what is in use stays; the log alone tells which", async () => {
    const it = await given(5, { config: { ...V4, Backend: ON_MISS }, idleMs: 1500 });
    const stream = Pinger.start(it.container.name, it.address(2), "-i 0.1");
    expect(await it.pingEach([3, 4].map((i) => it.address(i)))).toBe(2);
    expect(it.entries().neighs).toHaveLength(3);
    await until("the log tells of three", 4000, () => it.state().held.subnets.size === 3);
    await until("two are gone", 8000, () => it.entries().neighs.length === 1);
    await until("the log tells", 4000, () => it.events("NeighborAged").length > 0);
    expect(it.entries()).toEqual({ neighs: ["10.5.2.0"], fdb: ["198.18.0.2"] });
    expect(it.told()).toEqual(it.entries());
    expect((await stream.stop()).lost).toEqual([]);
    expect(await it.pingEach([it.address(3)])).toBe(1);
  });

  test("hybrid keeps those used last however long they rest", async () => {
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
  });
});

describe.skipIf(!root)("held entries outlive the agent", () => {
  test("an agent that ends takes nothing along, and its successor adopts it", async () => {
    const it = await given(4, { config: { ...V4, Backend: ON_MISS }, idleMs: 5000 });
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
    // Nobody else had to be asked for again.
    expect(it.agent.status().misses).toMatchObject({ held: 3, answered: 1 });
    await until("the idle one is gone", 8000, () => !it.entries().neighs.includes("10.5.3.0"));
    expect(await stream).toContain(" 0% packet loss");
  });
});

describe.skipIf(!root)("held entries follow the log", () => {
  test("a peer that moves, changes its MAC address or leaves is put right at once", async () => {
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
  });

  test("an entry that somebody removes is healed; both are asked for again", async () => {
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
  });
});

describe.skipIf(!root)("held entries and other configurations", () => {
  test("with DirectRouting only peers beyond the link are asked for", async () => {
    const Backend = { ...ON_MISS, DirectRouting: true };
    const it = await given(2, {
      config: { ...V4, Backend },
      before: (host) => host.join(9, 9, { publicIp: "203.0.113.9" }),
    });
    expect(await it.pingEach([it.address(9)])).toBe(1);
    expect(it.entries()).toEqual({ neighs: ["10.5.9.0"], fdb: ["203.0.113.9"] });
    const paths = it.agent.status().peers.map(({ node, path }) => `${node} ${path}`);
    expect(paths.sort()).toEqual(["h2 direct", "h3 direct", "h9 on-miss"]);
  });

  test("from one mode to another and back, no packet is lost", async () => {
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
    expect(it.told()).toEqual(it.entries());
  });

  test("an address of nobody that reaches the tunnel is refused at once, and counted", async () => {
    const it = await given(2, { config: { ...V4, Backend: ON_MISS } });
    // Somebody else's route into our device.
    it.host.ip("route add 192.0.2.0/24 dev heddle.1");
    const watch = new Stopwatch();
    expect(await it.ping("-c1", "-W3", "192.0.2.7")).toMatch(/Unreachable/);
    expect(watch.freeMs()).toBeLessThan(2000);
    expect(await it.ping("-c5", "-i0.2", "-W1", "192.0.2.7")).toMatch(/0 received/);
    await until("told", 4000, () => it.events("NeighborMissed").length > 0);
    const [first] = it.events("NeighborMissed");
    expect(first?.data.unknown[0]?.address).toBe("192.0.2.7");
    expect(it.agent.status().misses?.unknown).toBeGreaterThan(1);
  });
});

/** Neighbours that the kernel looks for. */
function pending(it: Everyone): number {
  return it.host.ipJson("neigh show dev heddle.1 nud incomplete").length;
}
