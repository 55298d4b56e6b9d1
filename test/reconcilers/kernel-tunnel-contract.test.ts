// What the userspace tunnel's objects do in a kernel: once in the model, once on the real kernel
// with the real packet path, which must agree.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Tunnel } from "../../src/ffi/tunnel.ts";
import type { Kernel, Scope } from "../../src/reconcilers/kernel.ts";
import { NetlinkKernel } from "../../src/reconcilers/kernel-netlink.ts";
import type { Link, TunPeer } from "../../src/reconcilers/kernel-state.ts";
import { TunnelKernel } from "../../src/reconcilers/kernel-tunnel.ts";
import { hostLink, KernelModel } from "../support/kernel-model.ts";
import { del, route, set, link as vxlan } from "../support/kernel-objects.ts";
import { joinByVeth, makeNetns, requireRoot } from "../support/netns.ts";
import { make } from "../support/tunnel-build.ts";

const dev = "heddle0";
const link: Link = {
  ...{ ...vxlan, name: dev, kind: "tun", vni: 0, port: 8285, local: "", underlay: "", mac: "" },
  mtu: 1472,
  tun: { listen: ["198.18.0.1"], subnets: ["10.5.1.0/24", "fd00:5:1::/64"] },
};
const peer = (name: string, number: number): TunPeer => ({
  dev,
  name,
  subnets: [`10.5.${number}.0/24`, `fd00:5:${number}::/64`],
  ip: `198.18.0.${number}`,
  port: 8285,
  capabilities: [],
});
const routes = [
  route(dev, "10.5.0.0/16", null, false),
  route(dev, "fd00:5::/48", null, false),
] as const;
const onDevice = [
  set("addr", { dev, address: "10.5.1.0/32" }),
  set("addr", { dev, address: "fd00:5:1::/128" }),
  set("peer", peer("h2", 2)),
  set("peer", peer("h3", 3)),
  ...routes.map((each) => set("route", each)),
];
const ops = [set("link", link), ...onDevice];
const scope: Scope = { links: [dev], routeDevs: [], sysctls: [], rules: [] };

interface Host {
  readonly kernel: Kernel;
  readonly setUp: (up: boolean) => void;
  readonly delLink: () => void;
  readonly addBridge: () => void;
  readonly dispose: () => void;
}

function modelHost(): Host {
  const model = new KernelModel();
  model.put("link", hostLink("eth0"));
  return {
    kernel: model,
    setUp: (up) => model.setUp(dev, up),
    delLink: () => model.remove("link", dev),
    addBridge: () => model.put("link", hostLink(dev, { kind: "bridge" })),
    dispose: () => undefined,
  };
}

function realHost(): Host {
  make("build/libheddle.so");
  const netns = makeNetns();
  joinByVeth(
    { netns, dev: "eth0", addresses: ["198.18.0.1/24"] },
    { netns, dev: "far0", addresses: [] },
  );
  const netlink = new NetlinkKernel({ netns: netns.path });
  const kernel = new TunnelKernel(netlink, { netns: netns.path, load: async () => Tunnel });
  return {
    kernel,
    setUp: (up) => void netns.ip(`link set ${dev} ${up ? "up" : "down"}`),
    delLink: () => void netns.ip(`link del ${dev}`),
    addBridge: () => void netns.ip(`link add ${dev} type bridge`),
    dispose: () => {
      kernel.close();
      netlink.close();
      netns[Symbol.dispose]();
    },
  };
}

async function applied(kernel: Kernel, some: typeof ops): Promise<readonly string[]> {
  const outcomes = await kernel.apply(some);
  return outcomes.map((outcome) => (outcome.ok ? "" : outcome.message));
}

/** Everything of ours, the link first. */
async function foundIn(kernel: Kernel): Promise<readonly unknown[]> {
  const { links, addrs, peers, routes: all } = await kernel.observe(scope);
  const ours = Array.from(all.values()).filter(({ protocol }) => protocol === 104);
  return [...links.values(), ...addrs.values(), ...peers.values(), ...ours];
}

for (const [name, makeHost] of Object.entries({ model: modelHost, real: realHost })) {
  contract(name, makeHost);
  strangers(name, makeHost);
}

function contract(name: string, makeHost: () => Host): void {
  describe.skipIf(name === "real" && !requireRoot("tunnel"))(`a tunnel's objects, ${name}`, () => {
    let host: Host;
    let kernel: Kernel;

    beforeEach(() => {
      host = makeHost();
      kernel = host.kernel;
    });
    afterEach(() => host.dispose());

    const apply = (...some: typeof ops) => applied(kernel, some);
    const found = () => foundIn(kernel);

    test("are observed exactly as they were applied, and again", async () => {
      for (let round = 0; round < 2; round++) {
        expect(await apply(...ops)).toEqual(ops.map(() => ""));
        const all = await found();
        expect(all).toHaveLength(ops.length);
        expect(all).toEqual(expect.arrayContaining(ops.map(({ object }) => object)));
      }
    });

    test("go with the device, and come back with it", async () => {
      await apply(...ops);
      host.delLink();
      expect(await found()).toEqual([]);
      expect(await apply(...ops)).toEqual(ops.map(() => ""));
      expect(await found()).toHaveLength(ops.length);
    });

    test("down takes the routes and the IPv6 address, and nothing else", async () => {
      await apply(...ops);
      host.setUp(false);
      expect(await found()).toEqual([
        { ...link, up: false },
        { dev, address: "10.5.1.0/32" },
        peer("h2", 2),
        peer("h3", 3),
      ]);
    });

    test("another port or MTU keeps what is on the device", async () => {
      await apply(...ops);
      const other = { ...link, port: 4000, mtu: 1400 };
      expect(await apply(set("link", other, link))).toEqual([""]);
      const all = await found();
      expect(all).toHaveLength(ops.length);
      expect(all[0]).toEqual(other);
    });

    test("a peer is changed and removed alone", async () => {
      await apply(...ops);
      const moved = { ...peer("h2", 2), ip: "198.18.0.22" };
      expect(await apply(set("peer", moved), del("peer", peer("h3", 3)))).toEqual(["", ""]);
      const { peers } = await kernel.observe(scope);
      expect([...peers.values()]).toEqual([moved]);
    });

    test("removing the device removes everything, twice without harm", async () => {
      await apply(...ops);
      expect(await apply(del("link", link), del("link", link))).toEqual(["", ""]);
      expect(await found()).toEqual([]);
    });
  });
}

function strangers(name: string, makeHost: () => Host): void {
  const skipped = name === "real" && !requireRoot("tunnel");
  test.skipIf(skipped)(
    `a device of another kind under our name stays as it is, ${name}`,
    async () => {
      const host = makeHost();
      try {
        const { kernel } = host;
        host.addBridge();
        const [bridge] = (await kernel.observe(scope)).links.values();
        const [refused] = await applied(kernel, [set("link", link, bridge ?? null)]);
        expect(refused).toContain("exists and is not ours (kind bridge)");
        expect([...(await kernel.observe(scope)).links.values()]).toEqual(bridge ? [bridge] : []);
      } finally {
        host.dispose();
      }
    },
  );
}
