// What every Kernel must do. Run against the model and against the real kernel in a fresh
// namespace; a difference is a bug of the model.

import { describe, expect, test } from "bun:test";
import type { Kernel } from "../../src/reconcilers/kernel.ts";
import { type KernelState, keyOf } from "../../src/reconcilers/kernel-state.ts";
import { mapOf } from "../../src/reconcilers/nouns.ts";
import type { Op } from "../../src/reconcilers/op.ts";
import {
  del,
  dev,
  dev6,
  fdb,
  hostOps,
  link,
  neigh,
  peerMac,
  route,
  scope,
  set,
  table,
} from "./kernel-objects.ts";
import {
  errnos,
  type Foreign,
  hostForEach,
  type KernelUnderTest,
  until,
} from "./kernel-under-test.ts";

const keys = (state: KernelState) => ({
  links: Array.from(state.links.keys()).sort(),
  addrs: Array.from(state.addrs.keys()).sort(),
  routes: Array.from(state.routes.keys()).sort(),
  neighs: Array.from(state.neighs.keys()).sort(),
  fdb: Array.from(state.fdb.keys()).sort(),
});

export function contractKernel(name: string, make: () => KernelUnderTest): void {
  describe(name, () => {
    let kernel: Kernel;
    let foreign: Foreign;
    hostForEach(make, (host) => {
      ({ kernel, foreign } = host);
    });

    const apply = async (...ops: Op[]) => errnos(await kernel.apply(ops));
    const build = async () => {
      expect(errnos(await kernel.apply(hostOps))).toEqual(hostOps.map(() => 0));
    };

    test("observes exactly what was applied, in both families", async () => {
      await build();
      const state = await kernel.observe(scope);
      for (const op of hostOps) {
        expect(state[mapOf[op.noun]].get(op.key) as unknown).toEqual(op.object);
      }
      const { links, addrs, routes, neighs, fdb: entries } = state;
      expect([links.size, addrs.size, routes.size, neighs.size, entries.size]).toEqual([
        2, 2, 2, 2, 2,
      ]);
    });

    test("applying the same again changes nothing", async () => {
      await build();
      const before = await kernel.observe(scope);
      await build();
      expect(await kernel.observe(scope)).toEqual(before);
    });

    test("removes what is there, and is content when it is gone already", async () => {
      await build();
      const ops = hostOps
        .toReversed()
        .map((op) => ({ ...op, verb: "del", found: op.object }) as Op);
      expect(await apply(...ops)).toEqual(ops.map(() => 0));
      const nothing = { links: [], addrs: [], routes: [], neighs: [], fdb: [] };
      expect(keys(await kernel.observe(scope))).toEqual(nothing);
      expect(await apply(...ops)).toEqual(ops.map(() => 0));
    });

    test("gives one outcome per op in their order, and goes on after a failure", async () => {
      const outcomes = await apply(
        set("link", link),
        set("route", route(dev, "10.5.2.0/24", "10.5.2.0")),
        set("route", route("nowhere", "10.5.3.0/24", "10.5.3.0")),
        set("route", route("eth0", "10.5.4.0/24", "192.0.2.7", false)),
        set("neigh", neigh("nowhere", "10.5.2.0")),
        set("fdb", fdb("nowhere", "198.18.0.2")),
        set("addr", { dev: "nowhere", address: "10.5.1.0/32" }),
        del("neigh", neigh("nowhere", "10.5.2.0")),
        set("neigh", neigh(dev, "10.5.2.0")),
      );
      expect(outcomes).toEqual([0, 0, 19, 101, 19, 19, 19, 0, 0]);
      const state = await kernel.observe(scope);
      expect([state.routes.size, state.neighs.size]).toEqual([1, 1]);
    });

    test("says in one line why a route was refused", async () => {
      const unreachable = set("route", route("eth0", "10.5.4.0/24", "192.0.2.7", false));
      const [outcome] = await kernel.apply([unreachable]);
      expect(outcome).toEqual({
        ok: false,
        errno: 101,
        message: "ENETUNREACH: Nexthop has invalid gateway",
      });
    });

    test("refuses as gateway an address of this host, and an IPv6 one out of reach", async () => {
      await build();
      expect(
        await apply(
          set("route", route(dev, "10.5.9.0/24", "10.5.1.0")),
          set("route", route("eth0", "fd00:5:9::/64", "fd00:77::1", false)),
          set("route", route("eth0", "fd00:5:9::/64", "2001:db8::9", false)),
          set("route", route("eth0", "10.5.9.0/24", "198.18.0.9", false)),
        ),
      ).toEqual([22, 113, 0, 0]);
    });

    test("a device that is down takes no route", async () => {
      await apply(set("link", { ...link, up: false }));
      expect(await apply(set("route", route(dev, "10.5.2.0/24", "10.5.2.0")))).toEqual([100]);
    });

    test("a device set down loses routes, neighbours and IPv6 addresses only", async () => {
      await build();
      foreign.setUp(dev, false);
      foreign.setUp(dev6, false);
      const state = await kernel.observe(scope);
      expect(keys(state)).toEqual({
        links: [dev6, dev],
        addrs: [`${dev} 10.5.1.0/32`],
        routes: [],
        neighs: [],
        fdb: [`${dev6} ${peerMac} 2001:db8::2`, `${dev} ${peerMac} 198.18.0.2`],
      });
      expect(state.links.get(dev)).toEqual({ ...link, up: false });
      await build();
      expect((await kernel.observe(scope)).routes.size).toBe(2);
    });

    test("a device that is removed takes everything on it, and can be built again", async () => {
      await build();
      const before = await kernel.observe(scope);
      foreign.delLink(dev);
      expect(keys(await kernel.observe(scope))).toEqual({
        links: [dev6],
        addrs: [`${dev6} fd00:5:1::/128`],
        routes: ["fd00:5:2::/64 1024"],
        neighs: [`${dev6} fd00:5:2::`],
        fdb: [`${dev6} ${peerMac} 2001:db8::2`],
      });
      await build();
      expect(await kernel.observe(scope)).toEqual(before);
    });

    for (const change of [
      { mtu: 1400 },
      { alias: "heddle other" },
      { learning: true },
      { local: "198.18.0.7" },
      { underlay: "eth1" },
      { master: "br0" },
      { local: "198.18.1.1", underlay: "eth1", mtu: 1400, alias: "heddle other" },
    ]) {
      test(`changes ${Object.keys(change)} in place and loses nothing`, async () => {
        foreign.addBridge("br0");
        await build();
        const before = keys(await kernel.observe(scope));
        expect(await apply(set("link", { ...link, ...change }, link))).toEqual([0]);
        const after = await kernel.observe(scope);
        expect(after.links.get(dev)).toEqual({ ...link, ...change });
        expect(keys(after)).toEqual(before);
      });
    }

    for (const change of [
      { vni: 7 },
      { port: 4789 },
      { gbp: true },
      { local: "2001:db8::1", mtu: 1430 },
      { group: "239.1.1.1" },
      { local: "2001:db8::1", mtu: 1430, group: "ff05::1" },
    ]) {
      test(`changes ${JSON.stringify(change)} with a new, empty device`, async () => {
        await apply(set("link", link), set("neigh", neigh(dev, "10.5.2.0")));
        expect(await apply(set("link", { ...link, ...change }, link))).toEqual([0]);
        const after = await kernel.observe(scope);
        expect(after.links.get(dev)).toEqual({ ...link, ...change });
        expect(after.neighs.size).toBe(0);
      });
    }

    test("changes the MAC in place and loses only the neighbours", async () => {
      await build();
      const before = keys(await kernel.observe(scope));
      const changed = { ...link, mac: "02:00:00:00:00:0a" };
      expect(await apply(set("link", changed, link))).toEqual([0]);
      const after = await kernel.observe(scope);
      expect(after.links.get(dev)).toEqual(changed);
      expect(keys(after)).toEqual({ ...before, neighs: [`${dev6} fd00:5:2::`] });
    });

    test("the last IPv4 address takes the device's IPv4 routes and neighbours along", async () => {
      await build();
      expect(await apply(del("addr", { dev, address: "10.5.1.0/32" }))).toEqual([0]);
      const after = keys(await kernel.observe(scope));
      expect(after.routes).toEqual(["fd00:5:2::/64 1024"]);
      expect(after.neighs).toEqual([`${dev6} fd00:5:2::`]);
    });

    test("never touches a device under our name that is not ours", async () => {
      foreign.addBridge(dev);
      const outcomes = await kernel.apply([set("link", link), del("link", link)]);
      for (const outcome of outcomes) {
        expect(outcome).toEqual({
          ok: false,
          errno: 17,
          message: `EEXIST: device ${dev} exists and is not ours (kind bridge)`,
        });
      }
      expect(foreign.hasLink(dev)).toBe(true);
      expect((await kernel.observe(scope)).links.get(dev)?.kind).toBe("bridge");
    });

    test("a missing underlay is said so", async () => {
      const [outcome] = await kernel.apply([set("link", { ...link, underlay: "eth9" })]);
      expect(outcome).toEqual({ ok: false, errno: 19, message: "ENODEV: no underlay device eth9" });
    });

    test("a MAC has one remote, whichever of the two ops comes first", async () => {
      await apply(set("link", link), set("fdb", fdb(dev, "198.18.0.2")));
      const [a, b] = [fdb(dev, "198.18.0.2"), fdb(dev, "198.18.0.3")];
      expect(await apply(set("fdb", b), del("fdb", a))).toEqual([0, 0]);
      expect(Array.from((await kernel.observe(scope)).fdb.values())).toEqual([b]);
      expect(await apply(del("fdb", b), set("fdb", a))).toEqual([0, 0]);
      expect(Array.from((await kernel.observe(scope)).fdb.values())).toEqual([a]);
    });

    test("a neighbour's MAC is replaced", async () => {
      await build();
      const other = neigh(dev, "10.5.2.0", "02:00:00:00:01:ff");
      expect(await apply(set("neigh", other))).toEqual([0]);
      expect((await kernel.observe(scope)).neighs.get(keyOf.neigh(other))).toEqual(other);
    });

    test("shows what displaced our route, when asked about its device, and heals", async () => {
      await build();
      foreign.replaceRoute("10.5.2.0/24", "198.18.0.9", "eth0");
      const [key] = ["10.5.2.0/24 0"];
      expect((await kernel.observe(scope)).routes.has(key)).toBe(false);
      const wide = { ...scope, routeDevs: ["eth0"] };
      const displaced = (await kernel.observe(wide)).routes.get(key);
      expect(displaced).toMatchObject({ via: "198.18.0.9", dev: "eth0", onlink: false });
      expect(displaced?.protocol).not.toBe(104);
      const ours = route(dev, "10.5.2.0/24", "10.5.2.0");
      expect(await apply(set("route", ours, displaced ?? null))).toEqual([0]);
      expect((await kernel.observe(wide)).routes.get(key)).toEqual(ours);
    });

    test("an IPv6 route moves from the underlay to the tunnel and back", async () => {
      await build();
      const [dst, gateway] = ["fd00:5:0:9::/64", "fd00:5:0:9::"];
      const direct = route("eth0", dst, "2001:db8::9", false);
      const tunnelled = route(dev6, dst, gateway);
      const found = async () => (await kernel.observe(scope)).routes.get(keyOf.route(direct));
      expect(await apply(set("route", direct))).toEqual([0]);
      expect(await apply(set("route", tunnelled, direct))).toEqual([0]);
      expect(await found()).toEqual(tunnelled);
      expect(await apply(set("route", direct, tunnelled))).toEqual([0]);
      expect(await found()).toEqual(direct);
    });

    test("removing our route leaves a foreign one of the same destination", async () => {
      await build();
      foreign.replaceRoute("10.5.2.0/24", "198.18.0.9", "eth0");
      expect(await apply(del("route", route(dev, "10.5.2.0/24", "10.5.2.0")))).toEqual([0]);
      expect(
        (await kernel.observe({ ...scope, routeDevs: ["eth0"] })).routes.has("10.5.2.0/24 0"),
      ).toBe(true);
    });

    test("wakes for each kind of foreign change until the watch is closed", async () => {
      await build();
      await kernel.observe(scope);
      let wakes = 0;
      const watch = kernel.watch(() => {
        wakes += 1;
      });
      const changes = [
        () => foreign.delRoute("10.5.2.0/24"),
        () => foreign.delNeigh(dev, "10.5.2.0"),
        () => foreign.delFdb(dev, peerMac, "198.18.0.2"),
        () => foreign.delAddr(dev, "10.5.1.0/32"),
        () => foreign.setUp(dev, false),
        () => foreign.delLink(dev),
      ];
      for (const change of changes) {
        const before = wakes;
        change();
        await until(() => wakes > before);
      }
      watch.close();
      const settled = wakes;
      foreign.delRoute("fd00:5:2::/64");
      await kernel.observe(scope);
      expect(wakes).toBe(settled);
    });

    test("wakes all who watch, and one when another has closed its watch", async () => {
      await build();
      await kernel.observe(scope);
      const wakes = { one: 0, other: 0 };
      const one = kernel.watch(() => wakes.one++);
      const other = kernel.watch(() => wakes.other++);
      foreign.delRoute("10.5.2.0/24");
      await until(() => wakes.one > 0 && wakes.other > 0);
      one.close();
      one.close();
      const before = { ...wakes };
      foreign.delNeigh(dev, "10.5.2.0");
      await until(() => wakes.other > before.other);
      await kernel.observe(scope);
      expect(wakes.one).toBe(before.one);
      other.close();
    });

    test("reads and sets values under /proc/sys, and leaves out missing ones", async () => {
      const path = "net/ipv4/ip_forward";
      for (const value of ["1", "0", "1"]) {
        expect(await apply(set("sysctl", { path, value }))).toEqual([0]);
        const { sysctls } = await kernel.observe(scope);
        expect(Array.from(sysctls.values())).toEqual([{ path, value }]);
      }
    });

    test("replaces a rule table as a whole, and sees a rule that somebody added", async () => {
      expect((await kernel.observe(scope)).rules.size).toBe(0);
      expect(await apply(set("rule", table))).toEqual([0]);
      const key = keyOf.rule(table);
      expect((await kernel.observe(scope)).rules.get(key)).toEqual(table);
      foreign.addRule(table, "forward");
      expect((await kernel.observe(scope)).rules.get(key)).not.toEqual(table);
      expect(await apply(set("rule", table))).toEqual([0]);
      expect((await kernel.observe(scope)).rules.get(key)).toEqual(table);
      expect(await apply(del("rule", table), del("rule", table))).toEqual([0, 0]);
      expect((await kernel.observe(scope)).rules.size).toBe(0);
    });

    test("knows the host: devices, addresses, default route, connected prefixes", async () => {
      const facts = await kernel.facts();
      const eth0 = facts.devices.find(({ name }) => name === "eth0");
      expect(eth0).toMatchObject({
        kind: "veth",
        mtu: 1500,
        up: true,
        addresses: ["198.18.0.1/24", "2001:db8::1/64"],
      });
      expect(facts.defaultDevs).toEqual({ ipv4: ["eth0"], ipv6: [] });
      expect(facts.onlink).toContainEqual({ dev: "eth0", prefix: "198.18.0.0/24" });
      expect(facts.onlink).toContainEqual({ dev: "eth0", prefix: "2001:db8::/64" });
      expect(facts.onlink).toContainEqual({ dev: "eth1", prefix: "198.18.1.0/24" });
    });

    test("knows the way to an address, or that there is none", async () => {
      await build();
      expect(await kernel.routeTo("198.18.0.77")).toBe("eth0");
      expect(await kernel.routeTo("198.18.1.77")).toBe("eth1");
      expect(await kernel.routeTo("203.0.113.1")).toBe("eth0");
      expect(await kernel.routeTo("10.5.2.7")).toBe(dev);
      expect(await kernel.routeTo("fd00:5:2::7")).toBe(dev6);
      expect(await kernel.routeTo("2001:db9::1")).toBe(null);
    });
  });
}
