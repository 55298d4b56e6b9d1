// Our devices, routes, neighbours and forwarding entries on the real kernel, read back with
// iproute2.

import { describe, expect, test } from "bun:test";
import { keyOf } from "../../src/reconcilers/kernel-state.ts";
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
  scope,
  set,
} from "../support/kernel-objects.ts";
import { netlinkHost } from "../support/netlink-host.ts";
import { requireRoot } from "../support/netns.ts";

if (requireRoot("objects as iproute2 sees them"))
  describe("objects as iproute2 sees them", () => {
    const host = netlinkHost();
    test("one call takes more ops than a function takes arguments", async () => {
      const ops = Array.from({ length: 1_000_000 }, () => del("neigh", neigh("gone0", "10.5.2.0")));
      expect(await host.kernel.apply(ops)).toHaveLength(ops.length);
    });

    test("vxlan devices have flannel's properties and no link-local address", async () => {
      await host.apply(...hostOps);
      const [v4] = host.netns.ipJson(`link show ${dev}`);
      expect(v4).toMatchObject({
        mtu: 1450,
        address: link.mac,
        ifalias: "heddle default",
        inet6_addr_gen_mode: "none",
        linkinfo: {
          info_kind: "vxlan",
          info_data: { id: 1, link: "eth0", local: "198.18.0.1", port: 8472, learning: false },
        },
      });
      expect(v4?.flags).toContain("UP");
      const [v6] = host.netns.ipJson(`link show ${dev6}`);
      expect(v6).toMatchObject({ linkinfo: { info_data: { local6: "2001:db8::1" } } });
      const addresses = host.netns
        .ipJson("addr show type vxlan")
        .map((row) =>
          (row.addr_info as { local: string; prefixlen: number }[])
            .filter((info) => "local" in info)
            .map((info) => `${info.local}/${info.prefixlen}`),
        );
      expect(addresses).toEqual([["10.5.1.0/32"], ["fd00:5:1::/128"]]);
    });

    test("routes, neighbours and forwarding entries, in both families", async () => {
      await host.apply(...hostOps);
      expect(host.netns.ipJson("route show proto 104")).toEqual([
        expect.objectContaining({
          dst: "10.5.2.0/24",
          gateway: "10.5.2.0",
          dev,
          flags: ["onlink"],
        }),
      ]);
      expect(host.netns.ipJson("-6 route show proto 104")).toEqual([
        expect.objectContaining({
          dst: "fd00:5:2::/64",
          gateway: "fd00:5:2::",
          dev: dev6,
          metric: 1024,
          flags: ["onlink"],
        }),
      ]);
      for (const [of, ip] of [
        [dev, "10.5.2.0"],
        [dev6, "fd00:5:2::"],
      ] as const) {
        expect(host.netns.ipJson(`neigh show dev ${of}`)).toEqual([
          expect.objectContaining({
            dst: ip,
            lladdr: peerMac,
            state: ["PERMANENT"],
            protocol: "104",
          }),
        ]);
      }
      for (const [of, dst] of [
        [dev, "198.18.0.2"],
        [dev6, "2001:db8::2"],
      ] as const) {
        expect(host.netns.bridgeJson(`fdb show dev ${of}`)).toEqual([
          expect.objectContaining({ mac: peerMac, dst, flags: ["self"], state: "permanent" }),
        ]);
      }
    });

    test("what the kernel keeps for itself is not reported", async () => {
      await host.apply(...hostOps);
      const before = await host.kernel.observe(scope);
      host.netns.ip(`neigh add 10.5.2.9 lladdr 02:00:00:00:09:09 dev ${dev} nud stale`);
      host.netns.ip(`neigh add 10.5.2.8 lladdr 02:00:00:00:09:08 dev ${dev} nud noarp`);
      host.netns.bridge("fdb add 02:00:00:00:09:09 dev far0 self permanent");
      expect(await host.kernel.observe(scope)).toEqual(before);
    });

    test("an entry that stops being permanent is reported as such and put right", async () => {
      await host.apply(...hostOps);
      host.netns.ip(`neigh replace 10.5.2.0 lladdr ${peerMac} dev ${dev} nud reachable`);
      host.netns.bridge(`fdb replace ${peerMac} dev ${dev} dst 198.18.0.2 self static`);
      const found = await host.kernel.observe(scope);
      expect(found.neighs.get(`${dev} 10.5.2.0`)?.permanent).toBe(false);
      expect(found.fdb.get(`${dev} ${peerMac} 198.18.0.2`)?.permanent).toBe(false);
      await host.apply(...hostOps);
      expect(host.netns.ipJson(`neigh show dev ${dev}`)[0]?.state).toEqual(["PERMANENT"]);
      expect(host.netns.bridgeJson(`fdb show dev ${dev}`)[0]?.state).toBe("permanent");
    });

    test("what a learning device has learnt is not reported", async () => {
      await host.apply(set("link", { ...link, learning: true }));
      host.netns.bridge(`fdb add ${peerMac} dev ${dev} dst 198.18.0.2 self dynamic`);
      expect((await host.kernel.observe(scope)).fdb.size).toBe(0);
    });

    test("a forwarding entry with its own port is reported, replaced and removed", async () => {
      const entry = fdb(dev, "198.18.0.2");
      for (const remedy of [set, del]) {
        await host.apply(set("link", link));
        host.netns.bridge(
          `fdb replace ${peerMac} dev ${dev} dst 198.18.0.2 port 9999 self permanent`,
        );
        const found = (await host.kernel.observe(scope)).fdb.get(keyOf.fdb(entry));
        expect(found?.extra).toBe("port 9999");
        await host.apply({ ...remedy("fdb", entry), found: found ?? null } as Op);
        const left = host.netns.bridgeJson(`fdb show dev ${dev}`);
        expect(left.map(({ dst, port }) => [dst, port])).toEqual(
          remedy === set ? [["198.18.0.2", undefined]] : [],
        );
        await host.apply(del("link", link));
      }
    });

    test("a forwarding entry by another device is reported, replaced and removed", async () => {
      const entry = fdb(dev, "198.18.0.2");
      for (const remedy of [set, del]) {
        await host.apply(set("link", link));
        host.netns.bridge(
          `fdb replace ${peerMac} dev ${dev} dst 198.18.0.2 via far0 self permanent`,
        );
        const found = (await host.kernel.observe(scope)).fdb.get(keyOf.fdb(entry));
        expect(found?.via).toBe("far0");
        await host.apply({ ...remedy("fdb", entry), found: found ?? null } as Op);
        const left = host.netns.bridgeJson(`fdb show dev ${dev}`);
        expect(left.map(({ dst, viaIf }) => [dst, viaIf])).toEqual(
          remedy === set ? [["198.18.0.2", undefined]] : [],
        );
        await host.apply(del("link", link));
      }
    });

    test("forwarding that we switched wakes nobody, switched by others it does", async () => {
      const path = "net/ipv4/ip_forward";
      const values = { links: [], routeDevs: [], sysctls: [path], rules: [] };
      await host.apply(set("sysctl", { path, value: "0" }));
      await host.kernel.observe(values);
      const heard: string[] = [];
      let stage = "ours";
      const watch = host.kernel.watch(() => heard.push(stage));
      await host.apply(set("sysctl", { path, value: "1" }));
      // As many turns as it takes for a notification that comes after ours.
      await host.kernel.observe(values);
      for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
      stage = "another's";
      host.netns.exec(["sysctl", "-qw", "net.ipv4.ip_forward=0"]);
      while (heard.length === 0) await new Promise(setImmediate);
      watch.close();
      expect(heard[0]).toBe("another's");
    });

    test("facts leave out what is no good for an underlay, and put the best first", async () => {
      host.netns.ip("addr add 198.18.0.5/24 dev eth0 valid_lft 600 preferred_lft 600");
      host.netns.ip("addr add 203.0.113.5/32 dev eth0");
      host.netns.ip("addr add 2001:db8::9/64 dev eth0 nodad preferred_lft 0");
      host.netns.ip("addr add fe80::77/64 dev eth0 nodad");
      host.netns.ip("link set far0 up");
      host.netns.ip("route add default dev far0 metric 50");
      host.netns.ip("route add default via 198.18.0.254 metric 10");
      host.netns.ip("-6 route add default via 2001:db8::fe dev eth0");
      host.netns.ip("route add 10.66.0.0/16 dev far0 proto 104");
      const facts = await host.kernel.facts();
      const eth0 = facts.devices.find(({ name }) => name === "eth0");
      const addresses = ["198.18.0.1/24", "203.0.113.5/32", "2001:db8::1/64", "198.18.0.5/24"];
      expect(eth0?.addresses).toEqual(addresses);
      expect(facts.defaultDevs).toEqual({ ipv4: ["eth0", "far0"], ipv6: ["eth0"] });
      expect(facts.onlink.filter(({ dev: of }) => of === "far0")).toEqual([]);
      expect(facts.onlink).toContainEqual({ dev: "eth0", prefix: "2001:db8::/64" });
    });
  });
