// Routes that somebody made differ in what our Route has no field for, on the real kernel.

import { describe, expect, test } from "bun:test";
import { NETLINK_ROUTE } from "../../src/ffi/netlink/constants.ts";
import { route as routeMessage } from "../../src/ffi/netlink/route.ts";
import { NetlinkSocket } from "../../src/ffi/netlink/socket.ts";
import { dumpRoutes, type RouteMessage } from "../../src/reconcilers/kernel-netlink-route.ts";
import { keyOf } from "../../src/reconcilers/kernel-state.ts";
import { del, dev, dev6, hostOps, route, scope, set } from "../support/kernel-objects.ts";
import { netlinkHost } from "../support/netlink-host.ts";
import { requireRoot } from "../support/netns.ts";

const wide = { ...scope, routeDevs: [dev] };
const ours = route(dev, "10.5.2.0/24", "10.5.2.0");
const key = keyOf.route(ours);
const cases = [
  ["a source address", `replace 10.5.2.0/24 via 10.5.2.0 dev ${dev} onlink proto 104 src 10.5.1.0`],
  ["an MTU", `replace 10.5.2.0/24 via 10.5.2.0 dev ${dev} onlink proto 104 mtu 1200`],
  ["the type blackhole", "replace blackhole 10.5.2.0/24 proto 104"],
  ["a TOS", `add 10.5.2.0/24 via 10.5.2.0 dev ${dev} onlink proto 104 tos 0x10`],
  ["a second hop", `append 10.5.2.0/24 via 10.5.2.9 dev ${dev} onlink proto 104`],
  [
    "several paths",
    `replace 10.5.2.0/24 proto 104 nexthop via 10.5.2.0 dev ${dev} onlink` +
      ` nexthop via 10.5.2.9 dev ${dev} onlink`,
  ],
] as const;

const anyRoute: RouteMessage = routeMessage.decode(routeMessage.encode({}, {}));

if (requireRoot("routes with something extra"))
  describe("routes with something extra", () => {
    const host = netlinkHost();

    for (const [what, command] of cases) {
      test(`${what} makes a route differ; setting it again leaves exactly ours`, async () => {
        await host.apply(...hostOps);
        host.netns.ip(`route ${command}`);
        const found = (await host.kernel.observe(wide)).routes.get(key);
        expect(found).not.toEqual(ours);
        await host.apply(set("route", ours, found ?? null));
        expect(host.netns.ip("route show proto 104").trim()).toBe(
          `10.5.2.0/24 via 10.5.2.0 dev ${dev} onlink`,
        );
        expect((await host.kernel.observe(wide)).routes.get(key)).toEqual(ours);
      });

      test(`${what} does not keep a route from being removed`, async () => {
        await host.apply(...hostOps);
        host.netns.ip(`route ${command}`);
        // Several routes may share the key; each pass removes what it finds.
        for (let pass = 0; pass < 3; pass += 1) {
          const found = (await host.kernel.observe(wide)).routes.get(key);
          if (found !== undefined) await host.apply(del("route", found));
        }
        expect(host.netns.ip("route show proto 104").trim()).toBe("");
      });
    }

    test("as many routes as the whole internet has are read", () => {
      const many: RouteMessage[] = new Array(1_200_000).fill(anyRoute);
      class Full extends NetlinkSocket {
        override dump<T>(): T[] {
          return many as T[];
        }
      }
      const socket = new Full(NETLINK_ROUTE);
      // Ours and the device's, of each family.
      expect(dumpRoutes(socket, [1]).others).toHaveLength(4 * many.length);
      socket.close();
    });

    test("a foreign route put in front of ours gives way when ours is set", async () => {
      await host.apply(...hostOps);
      host.netns.ip(`route prepend 10.5.2.0/24 via 10.5.2.9 dev ${dev} onlink`);
      await host.apply(set("route", ours));
      const left = host.netns.ipJson("route show 10.5.2.0/24").map(({ gateway }) => gateway);
      expect(left).toEqual(["10.5.2.0"]);
    });

    test("a foreign route behind ours is left alone and not reported", async () => {
      await host.apply(...hostOps);
      host.netns.ip(`route append 10.5.2.0/24 via 10.5.2.9 dev ${dev} onlink`);
      expect((await host.kernel.observe(wide)).routes.get(key)).toEqual(ours);
      await host.apply(set("route", ours));
      expect(host.netns.ipJson("route show 10.5.2.0/24").length).toBe(2);
    });

    test("IPv6 routes too: several paths, a source, an expiry", async () => {
      await host.apply(...hostOps);
      const ours6 = route(dev6, "fd00:5:2::/64", "fd00:5:2::");
      const via = `fd00:5:2::/64 via fd00:5:2:: dev ${dev6} onlink proto 104 metric 1024`;
      for (const extra of [
        `append fd00:5:2::/64 via fd00:5:2::9 dev ${dev6} onlink proto 104 metric 1024`,
        `replace ${via} src fd00:5:1::`,
        `replace ${via} expires 60`,
      ]) {
        host.netns.ip(`-6 route ${extra}`);
        const found = (await host.kernel.observe(wide)).routes.get(keyOf.route(ours6));
        expect(found?.extra).not.toBeNull();
        await host.apply(set("route", ours6, found ?? null));
        expect((await host.kernel.observe(wide)).routes.get(keyOf.route(ours6))).toEqual(ours6);
      }
    });
  });
