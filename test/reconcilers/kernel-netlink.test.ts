// The real kernel through our adapter, read back with iproute2 and nft.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { NetlinkKernel } from "../../src/reconcilers/kernel-netlink.ts";
import { LIMIT } from "../../src/reconcilers/kernel-netlink-nexthop.ts";
import { keyOf, type Route } from "../../src/reconcilers/kernel-state.ts";
import type { Op } from "../../src/reconcilers/op.ts";
import {
  del,
  dev,
  dev6,
  fdb,
  hostOps,
  link,
  peerMac,
  route,
  scope,
  set,
  table,
} from "../support/kernel-objects.ts";
import { joinByVeth, makeNetns, type Netns, requireRoot } from "../support/netns.ts";

let netns: Netns;
let kernel: NetlinkKernel;

async function apply(...ops: Op[]): Promise<void> {
  for (const outcome of await kernel.apply(ops)) expect(outcome).toEqual({ ok: true });
}

const wide = { ...scope, routeDevs: [dev] };
const ours = route(dev, "10.5.2.0/24", "10.5.2.0");
const key = keyOf.route(ours);

function suite(): void {
  beforeEach(() => {
    netns = makeNetns();
    const addresses = ["198.18.0.1/24", "2001:db8::1/64"];
    joinByVeth({ netns, dev: "eth0", addresses }, { netns, dev: "far0", addresses: [] });
    kernel = new NetlinkKernel({ netns: netns.path });
  });
  afterEach(() => {
    kernel.close();
    netns[Symbol.dispose]();
  });
  describe("objects as iproute2 sees them", asIproute2SeesThem);
  describe("routes with something extra", extras);
  describe("nexthop objects", nexthops);
  describe("rule tables", rules);
}

function asIproute2SeesThem(): void {
  test("the vxlan devices have exactly flannel's properties, and no link-local address", async () => {
    await apply(...hostOps);
    const [v4] = netns.ipJson(`link show ${dev}`);
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
    const [v6] = netns.ipJson(`link show ${dev6}`);
    expect(v6).toMatchObject({ linkinfo: { info_data: { local6: "2001:db8::1" } } });
    const addresses = netns
      .ipJson("addr show type vxlan")
      .map((row) =>
        (row.addr_info as { local: string; prefixlen: number }[])
          .filter((info) => "local" in info)
          .map((info) => `${info.local}/${info.prefixlen}`),
      );
    expect(addresses).toEqual([["10.5.1.0/32"], ["fd00:5:1::/128"]]);
  });

  test("routes, neighbours and forwarding entries, in both families", async () => {
    await apply(...hostOps);
    expect(netns.ipJson("route show proto 104")).toEqual([
      expect.objectContaining({ dst: "10.5.2.0/24", gateway: "10.5.2.0", dev, flags: ["onlink"] }),
    ]);
    expect(netns.ipJson("-6 route show proto 104")).toEqual([
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
      expect(netns.ipJson(`neigh show dev ${of}`)).toEqual([
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
      expect(netns.bridgeJson(`fdb show dev ${of}`)).toEqual([
        expect.objectContaining({ mac: peerMac, dst, flags: ["self"], state: "permanent" }),
      ]);
    }
  });

  test("what the kernel keeps for itself is not reported", async () => {
    await apply(...hostOps);
    const before = await kernel.observe(scope);
    netns.ip(`neigh add 10.5.2.9 lladdr 02:00:00:00:09:09 dev ${dev} nud stale`);
    netns.ip(`neigh add 10.5.2.8 lladdr 02:00:00:00:09:08 dev ${dev} nud noarp`);
    netns.bridge("fdb add 02:00:00:00:09:09 dev far0 self permanent");
    expect(await kernel.observe(scope)).toEqual(before);
  });

  test("an entry that stops being permanent is reported as such and put right", async () => {
    await apply(...hostOps);
    netns.ip(`neigh replace 10.5.2.0 lladdr ${peerMac} dev ${dev} nud reachable`);
    netns.bridge(`fdb replace ${peerMac} dev ${dev} dst 198.18.0.2 self static`);
    const found = await kernel.observe(scope);
    expect(found.neighs.get(`${dev} 10.5.2.0`)?.permanent).toBe(false);
    expect(found.fdb.get(`${dev} ${peerMac} 198.18.0.2`)?.permanent).toBe(false);
    await apply(...hostOps);
    expect(netns.ipJson(`neigh show dev ${dev}`)[0]?.state).toEqual(["PERMANENT"]);
    expect(netns.bridgeJson(`fdb show dev ${dev}`)[0]?.state).toBe("permanent");
  });

  test("what a learning device has learnt is not reported", async () => {
    await apply(set("link", { ...link, learning: true }));
    netns.bridge(`fdb add ${peerMac} dev ${dev} dst 198.18.0.2 self dynamic`);
    expect((await kernel.observe(scope)).fdb.size).toBe(0);
  });

  test("a forwarding entry with a port of its own is reported, replaced and removed", async () => {
    const entry = fdb(dev, "198.18.0.2");
    for (const remedy of [set, del]) {
      await apply(set("link", link));
      netns.bridge(`fdb replace ${peerMac} dev ${dev} dst 198.18.0.2 port 9999 self permanent`);
      const found = (await kernel.observe(scope)).fdb.get(keyOf.fdb(entry));
      expect(found?.extra).toBe("port 9999");
      await apply({ ...remedy("fdb", entry), found: found ?? null } as Op);
      const left = netns.bridgeJson(`fdb show dev ${dev}`);
      expect(left.map(({ dst, port }) => [dst, port])).toEqual(
        remedy === set ? [["198.18.0.2", undefined]] : [],
      );
      await apply(del("link", link));
    }
  });
}

function extras(): void {
  const cases = [
    [
      "a source address",
      `replace 10.5.2.0/24 via 10.5.2.0 dev ${dev} onlink proto 104 src 10.5.1.0`,
    ],
    ["an MTU", `replace 10.5.2.0/24 via 10.5.2.0 dev ${dev} onlink proto 104 mtu 1200`],
    ["the type blackhole", "replace blackhole 10.5.2.0/24 proto 104"],
    ["a TOS", `add 10.5.2.0/24 via 10.5.2.0 dev ${dev} onlink proto 104 tos 0x10`],
    ["a second hop", `append 10.5.2.0/24 via 10.5.2.9 dev ${dev} onlink proto 104`],
    [
      "several paths",
      `replace 10.5.2.0/24 proto 104 nexthop via 10.5.2.0 dev ${dev} onlink nexthop via 10.5.2.9 dev ${dev} onlink`,
    ],
  ] as const;

  for (const [what, command] of cases) {
    test(`${what} makes a route differ; setting it again leaves exactly ours`, async () => {
      await apply(...hostOps);
      netns.ip(`route ${command}`);
      const found = (await kernel.observe(wide)).routes.get(key);
      expect(found).not.toEqual(ours);
      await apply(set("route", ours, found ?? null));
      expect(netns.ip("route show proto 104").trim()).toBe(
        `10.5.2.0/24 via 10.5.2.0 dev ${dev} onlink`,
      );
      expect((await kernel.observe(wide)).routes.get(key)).toEqual(ours);
    });

    test(`${what} does not keep a route from being removed`, async () => {
      await apply(...hostOps);
      netns.ip(`route ${command}`);
      // Several routes may share the key; each pass removes what it finds.
      for (let pass = 0; pass < 3; pass += 1) {
        const found = (await kernel.observe(wide)).routes.get(key);
        if (found !== undefined) await apply(del("route", found));
      }
      expect(netns.ip("route show proto 104").trim()).toBe("");
    });
  }

  test("IPv6 routes too: several paths, a source, an expiry", async () => {
    await apply(...hostOps);
    const ours6 = route(dev6, "fd00:5:2::/64", "fd00:5:2::");
    for (const extra of [
      `append fd00:5:2::/64 via fd00:5:2::9 dev ${dev6} onlink proto 104 metric 1024`,
      `replace fd00:5:2::/64 via fd00:5:2:: dev ${dev6} onlink proto 104 metric 1024 src fd00:5:1::`,
      `replace fd00:5:2::/64 via fd00:5:2:: dev ${dev6} onlink proto 104 metric 1024 expires 60`,
    ]) {
      netns.ip(`-6 route ${extra}`);
      const found = (await kernel.observe(wide)).routes.get(keyOf.route(ours6));
      expect(found?.extra).not.toBeNull();
      await apply(set("route", ours6, found ?? null));
      expect((await kernel.observe(wide)).routes.get(keyOf.route(ours6))).toEqual(ours6);
    }
  });
}

const many = (count: number): Route[] =>
  Array.from({ length: count }, (_, i) => {
    const ip = `10.${20 + (i >> 8)}.${i & 255}.0`;
    return route(dev, `${ip}/24`, ip);
  });

const nexthopIds = () =>
  netns.ipJson("nexthop show").map(({ id, protocol }) => `${id} ${protocol}`);

function nexthops(): void {
  test("are used only above the limit, and routes look the same either way", async () => {
    await apply(set("link", link), ...many(LIMIT).map((one) => set("route", one)));
    expect(nexthopIds()).toEqual([]);
    const routes = many(LIMIT + 40);
    await apply(...routes.slice(LIMIT).map((one) => set("route", one)));
    expect(nexthopIds().length).toBe(40);
    for (const compat of ["1", "0"]) {
      netns.exec(["sysctl", "-qw", `net.ipv4.nexthop_compat_mode=${compat}`]);
      const found = (await kernel.observe(wide)).routes;
      expect(Array.from(found.values())).toEqual(expect.arrayContaining(routes));
      expect(found.size).toBe(routes.length);
    }
  });

  test("go when no route uses them, and foreign ones never", async () => {
    const routes = many(LIMIT + 40);
    await apply(set("link", link));
    netns.ip(`nexthop add id 7 via 10.5.9.9 dev ${dev} onlink`);
    netns.ip(`nexthop add id ${104 * 0x1000000} via 10.5.9.8 dev ${dev} onlink`);
    await apply(...routes.map((one) => set("route", one)));
    expect(nexthopIds().length).toBe(LIMIT + 42);
    await apply(...routes.slice(10).map((one) => del("route", one)));
    expect(nexthopIds().length).toBe(12);
    await apply(...routes.map((one) => del("route", one)));
    expect(netns.ipJson("nexthop show").map(({ id }) => id)).toEqual([7, 104 * 0x1000000]);
    expect(netns.ip("route show proto 104")).toBe("");
  });

  test("left over from another process are reused, then removed", async () => {
    await apply(set("link", link));
    netns.ip(`nexthop add id 1000 via 10.20.1.0 dev ${dev} onlink proto 104`);
    netns.ip(`nexthop add id 1001 via 10.77.1.0 dev ${dev} onlink proto 104`);
    const routes = many(LIMIT + 1);
    await apply(...routes.map((one) => set("route", one)));
    expect(nexthopIds().length).toBe(LIMIT + 2);
    const next = new NetlinkKernel({ netns: netns.path });
    await next.apply([]);
    next.close();
    expect(nexthopIds().length).toBe(LIMIT + 1);
    expect(nexthopIds()).toContain("1000 104");
  });

  test("dropped with the device are made again", async () => {
    const ops = many(LIMIT + 40).map((one) => set("route", one));
    await apply(set("link", link), ...ops);
    netns.ip(`link set ${dev} down`);
    expect(nexthopIds()).toEqual([]);
    await apply(set("link", link), ...ops);
    expect(netns.ipJson("route show proto 104").length).toBe(ops.length);
    await apply(del("link", link), set("link", link), ...ops);
    expect(netns.ipJson("route show proto 104").length).toBe(ops.length);
  });

  test("a changed gateway leaves no unused object behind", async () => {
    const routes = many(LIMIT + 1);
    await apply(set("link", link), ...routes.map((one) => set("route", one)));
    const [first] = routes;
    if (first === undefined) throw new Error("no route");
    await apply(set("route", { ...first, via: "10.99.0.1" }, first));
    expect(netns.ipJson(`route show ${first.dst}`)[0]).toMatchObject({ gateway: "10.99.0.1" });
    expect(nexthopIds().length).toBeLessThanOrEqual(LIMIT + 1);
  });
}

function rules(): void {
  const nft = (...args: string[]) => netns.exec(["nft", ...args]);
  const key = keyOf.rule(table);
  const tableOf = async () => (await kernel.observe(scope)).rules.get(key);

  test("nft lists what was set, and other tables stay", async () => {
    nft("add", "table", "inet", "other");
    await apply(set("rule", table));
    const listed = JSON.parse(nft("-j", "list", "ruleset")) as {
      nftables: Record<string, unknown>[];
    };
    const count = (kind: string) => listed.nftables.filter((item) => kind in item).length;
    expect([count("table"), count("chain"), count("rule")]).toEqual([2, 2, 3]);
    await apply(del("rule", table));
    expect(nft("list", "tables").trim()).toBe("table inet other");
  });

  for (const [what, change] of [
    ["a rule deleted", ["delete", "rule", "inet", table.name, "forward", "handle", "3"]],
    ["a rule added in front", ["insert", "rule", "inet", table.name, "forward", "drop"]],
    ["a chain flushed", ["flush", "chain", "inet", table.name, "postrouting"]],
    ["a chain added", ["add", "chain", "inet", table.name, "extra"]],
    ["a set added", ["add", "set", "inet", table.name, "s", "{ type ipv4_addr; }"]],
    ["another policy", ["chain", "inet", table.name, "forward", "{ policy drop; }"]],
    ["the table made dormant", ["add", "table", "inet", table.name, "{ flags dormant; }"]],
    ["the table deleted", ["delete", "table", "inet", table.name]],
  ] as const) {
    test(`${what} makes the table differ, and setting it puts it right`, async () => {
      await apply(set("rule", table));
      if (what === "a rule deleted") {
        expect(nft("-a", "list", "chain", "inet", table.name, "forward")).toContain("# handle 3");
      }
      nft(...change);
      expect(await tableOf()).not.toEqual(table);
      await apply(set("rule", table));
      expect(await tableOf()).toEqual(table);
    });
  }

  test("two rules in the other order make the table differ", async () => {
    const [forward, postrouting] = table.chains;
    if (forward === undefined || postrouting === undefined) throw new Error("two chains");
    const turned = { ...forward, rules: forward.rules.toReversed() };
    await apply(set("rule", { ...table, chains: [turned, postrouting] }));
    expect(await tableOf()).not.toEqual(table);
  });

  test("a refused table changes nothing and says why in one line", async () => {
    await apply(set("rule", table));
    const [chain] = table.chains;
    if (chain === undefined) throw new Error("a chain");
    const broken = { ...table, chains: [{ ...chain, rules: ["no such thing"] }] };
    const [outcome] = await kernel.apply([set("rule", broken)]);
    expect(outcome).toMatchObject({ ok: false, errno: 0 });
    expect(JSON.stringify(outcome)).toMatch(/nft: .*syntax error/);
    expect(await tableOf()).toEqual(table);
  });

  test("without nft, no table is found and setting one says what to install", async () => {
    const path = process.env.PATH;
    process.env.PATH = "/nonexistent";
    try {
      expect((await kernel.observe(scope)).rules.size).toBe(0);
      expect(await kernel.apply([set("rule", table)])).toEqual([
        { ok: false, errno: 0, message: "nft is not installed or not in PATH: install nftables" },
      ]);
    } finally {
      process.env.PATH = path;
    }
  });
}

if (requireRoot("the netlink adapter")) describe("the netlink adapter", suite);
