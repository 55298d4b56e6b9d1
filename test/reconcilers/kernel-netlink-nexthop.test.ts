// Nexthop objects on the real kernel: when they are used, and that none is left behind.

import { describe, expect, test } from "bun:test";
import { NetlinkKernel } from "../../src/reconcilers/kernel-netlink.ts";
import { LIMIT } from "../../src/reconcilers/kernel-netlink-nexthop.ts";
import type { Route } from "../../src/reconcilers/kernel-state.ts";
import { del, dev, link, route, scope, set } from "../support/kernel-objects.ts";
import { netlinkHost } from "../support/netlink-host.ts";
import { requireRoot } from "../support/netns.ts";

const wide = { ...scope, routeDevs: [dev] };
const many = (count: number): Route[] =>
  Array.from({ length: count }, (_, i) => {
    const ip = `10.${20 + (i >> 8)}.${i & 255}.0`;
    return route(dev, `${ip}/24`, ip);
  });

if (requireRoot("nexthop objects"))
  describe("nexthop objects", () => {
    const host = netlinkHost();
    const nexthopIds = () =>
      host.netns.ipJson("nexthop show").map(({ id, protocol }) => `${id} ${protocol}`);
    test("are used only above the limit, and routes look the same either way", async () => {
      await host.apply(set("link", link), ...many(LIMIT).map((one) => set("route", one)));
      expect(nexthopIds()).toEqual([]);
      const routes = many(LIMIT + 40);
      await host.apply(...routes.slice(LIMIT).map((one) => set("route", one)));
      expect(nexthopIds().length).toBe(40);
      for (const compat of ["1", "0"]) {
        host.netns.exec(["sysctl", "-qw", `net.ipv4.nexthop_compat_mode=${compat}`]);
        const found = (await host.kernel.observe(wide)).routes;
        expect(Array.from(found.values())).toEqual(expect.arrayContaining(routes));
        expect(found.size).toBe(routes.length);
      }
    });

    test("go when no route uses them, and foreign ones never", async () => {
      const routes = many(LIMIT + 40);
      await host.apply(set("link", link));
      host.netns.ip(`nexthop add id 7 via 10.5.9.9 dev ${dev} onlink`);
      host.netns.ip(`nexthop add id ${104 * 0x1000000} via 10.5.9.8 dev ${dev} onlink`);
      await host.apply(...routes.map((one) => set("route", one)));
      expect(nexthopIds().length).toBe(LIMIT + 42);
      await host.apply(...routes.slice(10).map((one) => del("route", one)));
      expect(nexthopIds().length).toBe(12);
      await host.apply(...routes.map((one) => del("route", one)));
      expect(host.netns.ipJson("nexthop show").map(({ id }) => id)).toEqual([7, 104 * 0x1000000]);
      expect(host.netns.ip("route show proto 104")).toBe("");
    });

    test("of others make a route differ from ours", async () => {
      await host.apply(set("link", link));
      const [wanted] = many(1);
      for (const owner of ["static", "104"]) {
        host.netns.ip(`nexthop replace id 7 via ${wanted?.via} dev ${dev} onlink proto ${owner}`);
        host.netns.ip(`route replace ${wanted?.dst} nhid 7 proto 104`);
        const [found] = (await host.kernel.observe(wide)).routes.values();
        expect(found?.via).toBe(wanted?.via ?? null);
        expect(found?.extra).toBe(owner === "static" ? "nhid 7" : null);
      }
    });

    test("left over from another process are reused, then removed", async () => {
      await host.apply(set("link", link));
      host.netns.ip(`nexthop add id 1000 via 10.20.1.0 dev ${dev} onlink proto 104`);
      host.netns.ip(`nexthop add id 1001 via 10.77.1.0 dev ${dev} onlink proto 104`);
      const routes = many(LIMIT + 1);
      await host.apply(...routes.map((one) => set("route", one)));
      expect(nexthopIds().length).toBe(LIMIT + 2);
      const next = new NetlinkKernel({ netns: host.netns.path });
      await next.apply([]);
      next.close();
      expect(nexthopIds().length).toBe(LIMIT + 1);
      expect(nexthopIds()).toContain("1000 104");
    });

    test("dropped with the device are made again", async () => {
      const ops = many(LIMIT + 40).map((one) => set("route", one));
      await host.apply(set("link", link), ...ops);
      host.netns.ip(`link set ${dev} down`);
      expect(nexthopIds()).toEqual([]);
      await host.apply(set("link", link), ...ops);
      expect(host.netns.ipJson("route show proto 104").length).toBe(ops.length);
      await host.apply(del("link", link), set("link", link), ...ops);
      expect(host.netns.ipJson("route show proto 104").length).toBe(ops.length);
    });

    test("a changed gateway leaves no unused object behind", async () => {
      const routes = many(LIMIT + 1);
      await host.apply(set("link", link), ...routes.map((one) => set("route", one)));
      const [first] = routes;
      if (first === undefined) throw new Error("no route");
      await host.apply(set("route", { ...first, via: "10.99.0.1" }, first));
      expect(host.netns.ipJson(`route show ${first.dst}`)[0]).toMatchObject({
        gateway: "10.99.0.1",
      });
      expect(nexthopIds().length).toBeLessThanOrEqual(LIMIT + 1);
    });
  });
