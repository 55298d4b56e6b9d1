// What every Kernel must do for the modes of vxlan without a control plane: many entries for the
// MAC that nobody has, multicast groups, learning, and devices as ports of somebody's bridge.

import { describe, expect, test } from "bun:test";
import type { Kernel } from "../../src/reconcilers/kernel.ts";
import { ANY_MAC, type Fdb, keyOf, type Link } from "../../src/reconcilers/kernel-state.ts";
import type { Op } from "../../src/reconcilers/op.ts";
import { del, dev, dev6, fdb, link, link6, peerMac, route, scope, set } from "./kernel-objects.ts";
import {
  errnos,
  type Foreign,
  hostForEach,
  type KernelUnderTest,
  until,
} from "./kernel-under-test.ts";

const LEARNT = "02:00:00:00:07:07";
const learning: Link = { ...link, learning: true };
const joined: Link = { ...learning, group: "239.1.1.1" };
const joined6: Link = { ...link6, learning: true, group: "ff05::1:1" };
const toGroup = (of: string, dst: string): Fdb => ({ ...fdb(of, dst, ANY_MAC), via: "eth0" });

export function contractKernelFlood(name: string, make: () => KernelUnderTest): void {
  describe(name, () => {
    let kernel: Kernel;
    let foreign: Foreign;
    hostForEach(make, (host) => {
      ({ kernel, foreign } = host);
    });

    const apply = async (...ops: Op[]) => errnos(await kernel.apply(ops));
    const entries = async () => Array.from((await kernel.observe(scope)).fdb.keys()).sort();
    const replicas = [2, 3, 4].map((n) => fdb(dev, `198.18.0.${n}`, ANY_MAC));
    const replicaKeys = replicas.map(keyOf.fdb);

    test("keeps many remotes for the MAC of nobody, and takes away one at a time", async () => {
      const sets = replicas.map((entry) => set("fdb", entry));
      expect(await apply(set("link", learning), ...sets, ...sets)).toEqual([0, 0, 0, 0, 0, 0, 0]);
      expect(await entries()).toEqual(replicaKeys);
      const [first, second, third] = replicas;
      if (first === undefined || second === undefined || third === undefined) throw new Error();
      expect(await apply(del("fdb", second), del("fdb", second))).toEqual([0, 0]);
      expect(await entries()).toEqual([keyOf.fdb(first), keyOf.fdb(third)]);
      expect(await apply(set("fdb", second), del("fdb", first))).toEqual([0, 0]);
      const found = (await kernel.observe(scope)).fdb;
      expect([...found.values()].sort((a, b) => (a.dst < b.dst ? -1 : 1))).toEqual([second, third]);
    });

    test("a device with a group has the entry for it, and gets it back", async () => {
      expect(await apply(set("link", joined), set("link", joined6))).toEqual([0, 0]);
      const four = toGroup(dev, "239.1.1.1");
      const six = toGroup(dev6, "ff05::1:1");
      const state = await kernel.observe(scope);
      expect(state.links.get(dev)).toEqual(joined);
      expect(state.links.get(dev6)).toEqual(joined6);
      for (const entry of [four, six]) {
        expect(state.fdb.get(keyOf.fdb(entry))).toEqual(entry);
        expect(await apply(set("fdb", entry))).toEqual([0]);
        expect(await apply(del("fdb", entry), set("fdb", entry))).toEqual([0, 0]);
      }
      expect(await kernel.observe(scope)).toEqual(state);
    });

    test("another group, no group or another underlay for it makes a new device", async () => {
      let have = joined;
      for (const want of [
        { ...joined, group: "239.2.2.2" },
        { ...joined, local: "198.18.1.1", underlay: "eth1" },
        learning,
        joined,
      ]) {
        await apply(set("fdb", fdb(dev, "198.18.0.9")));
        expect(await apply(set("link", want, have))).toEqual([0]);
        const { links, fdb: found } = await kernel.observe(scope);
        expect(links.get(dev)).toEqual(want);
        expect([...found.values()]).toEqual(
          want.group === undefined ? [] : [{ ...toGroup(dev, want.group), via: want.underlay }],
        );
        have = want;
      }
    });

    test("an entry through a device that is not there is refused", async () => {
      const lost = { ...toGroup(dev, "239.1.1.1"), via: "eth9" };
      expect(await apply(set("link", learning), set("fdb", lost), del("fdb", lost))).toEqual([
        0, 19, 0,
      ]);
    });

    test("what a device learnt is not told, and goes when it shall learn no more", async () => {
      await apply(set("link", learning), set("fdb", fdb(dev, "198.18.0.2")));
      foreign.learn(dev, LEARNT, "198.18.0.3");
      const configured = `${dev} ${peerMac} 198.18.0.2`;
      expect(await entries()).toEqual([configured]);
      expect(await apply(set("link", link, learning))).toEqual([0]);
      expect(await entries()).toEqual([configured]);
      foreign.learn(dev, LEARNT, "198.18.0.3");
      expect(await entries()).toEqual([configured, `${dev} ${LEARNT} 198.18.0.3`]);
    });

    test("wakes for a copy that somebody took, with learning on", async () => {
      await apply(set("link", learning), ...replicas.map((entry) => set("fdb", entry)));
      await kernel.observe(scope);
      let wakes = 0;
      const watch = kernel.watch(() => {
        wakes += 1;
      });
      foreign.delFdb(dev, ANY_MAC, "198.18.0.3");
      await until(() => wakes > 0);
      watch.close();
      expect(await entries()).toEqual(replicaKeys.toSpliced(1, 1));
    });

    test("makes a device as a port of somebody's bridge, once there is one", async () => {
      const port: Link = { ...learning, master: "br0" };
      const [refusal] = await kernel.apply([set("link", port)]);
      expect(refusal).toEqual({ ok: false, errno: 19, message: "ENODEV: no bridge br0" });
      expect(foreign.hasLink(dev)).toBe(false);
      foreign.addBridge("br0");
      foreign.addBridge("br1");
      expect(await apply(set("link", port))).toEqual([0]);
      // The bridge's own table has entries for its port; they are not the device's.
      const state = await kernel.observe(scope);
      expect([state.links.get(dev), state.fdb.size]).toEqual([port, 0]);
      expect(await apply(set("link", { ...port, master: "br1" }, port))).toEqual([0]);
      expect((await kernel.observe(scope)).links.get(dev)?.master).toBe("br1");
      foreign.delLink("br1");
      expect((await kernel.observe(scope)).links.get(dev)).toEqual(learning);
    });

    test("leaves a port in its bridge when nobody asked for one", async () => {
      foreign.addBridge("br0");
      const port: Link = { ...learning, master: "br0" };
      await apply(set("link", port));
      expect(await apply(set("link", { ...learning, mtu: 1400 }, port))).toEqual([0]);
      expect((await kernel.observe(scope)).links.get(dev)).toEqual({ ...port, mtu: 1400 });
    });

    test("a route without gateway leads into the segment, behind a bridge's own", async () => {
      const wide = { ...route(dev, "10.5.0.0/16", null, false), metric: 1024 };
      expect(await apply(set("link", learning), set("route", wide))).toEqual([0, 0]);
      const state = await kernel.observe(scope);
      expect(state.routes.get("10.5.0.0/16 1024")).toEqual(wide);
      expect(await kernel.routeTo("10.5.9.9")).toBe(dev);
    });
  });
}
