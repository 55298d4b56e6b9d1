// The kernel with a tunnel in it, over the model kernel and a tunnel that only takes notes: what is
// opened when, what survives a new opening, and what is told when it cannot be opened.

import { beforeEach, describe, expect, test } from "bun:test";
import type { TunnelOptions } from "../../src/ffi/tunnel.ts";
import type { TunnelFds, TunnelPeer } from "../../src/ffi/tunnel-encode.ts";
import { desired } from "../../src/reconcilers/desired.ts";
import { diff } from "../../src/reconcilers/diff.ts";
import type { Kernel } from "../../src/reconcilers/kernel.ts";
import { emptyKernelState } from "../../src/reconcilers/kernel-state.ts";
import {
  type TunnelHandle,
  TunnelKernel,
  type TunnelKernelOptions,
  type TunnelTable,
} from "../../src/reconcilers/kernel-tunnel.ts";
import type { Op } from "../../src/reconcilers/op.ts";
import { phasesOf } from "../../src/reconcilers/phase.ts";
import type { Plan } from "../../src/reconcilers/plan.ts";
import { type History, history } from "../support/history.ts";
import { hostLink, KernelModel } from "../support/kernel-model.ts";

class FakeTunnel implements TunnelHandle {
  readonly options: TunnelOptions;
  peers: readonly string[] = [];
  own: readonly string[] = [];
  sets = 0;
  refreshed = 0;
  gone: number | null = null;
  closed = false;
  /** Peers in the table when it started. */
  startedWith: readonly string[] | null = null;
  readonly left: readonly TunnelPeer[];

  constructor(options: TunnelOptions, left: readonly TunnelPeer[]) {
    this.options = options;
    this.left = left;
  }

  refresh(): void {
    this.refreshed += 1;
  }

  start(): void {
    this.startedWith = this.peers;
  }

  adopted(): TunnelPeer[] {
    return [...this.left];
  }

  fds(): TunnelFds {
    return { tun: [10], udp: [11] };
  }

  setPeers(...[peers, own]: Parameters<TunnelHandle["setPeers"]>): void {
    this.sets += 1;
    this.peers = peers.map(({ name, endpoint }) => `${name} ${endpoint.ip}:${endpoint.port}`);
    this.own = own;
  }

  features() {
    const feature = (name: string, on: boolean, errno: number | null, wanted = true) => {
      return { name, on, errno, wanted };
    };
    return [
      feature("vnet-header", true, null),
      feature("kernel-encap", false, 95),
      feature("kernel-decap", false, 22),
      feature("tun-tso4", false, 22),
      feature("tun-uso", false, null),
      feature("tun-napi", false, null, false),
    ];
  }

  capabilities(): string[] {
    return ["offload"];
  }

  counters() {
    const none = { txPackets: 1, txBytes: 2, rxPackets: 3, rxBytes: 4 };
    return { total: { rx_drop_source: 7 }, peers: new Map([["h2", none]]) };
  }

  deviceError(): number | null {
    return this.gone;
  }

  close(): void {
    this.closed = true;
  }
}

function never(): never {
  throw new Error("nothing is there");
}

const udp = { backend: "udp", publicIpv6: null, vtepMac: null, vtepMacV6: null } as const;

describe("a kernel with a tunnel", () => {
  let model: KernelModel;
  let tunnels: FakeTunnel[];
  let loads: number;
  let refuse: Error | null;
  let kernel: TunnelKernel;
  let log: History;
  /** What a predecessor left in the kernel. */
  let left: TunnelPeer[];
  let forgotten: string[];
  let kept: (TunnelFds | null)[];
  let tables: (TunnelTable | null)[];

  beforeEach(() => {
    model = new KernelModel();
    model.put("link", hostLink("eth0"));
    tunnels = [];
    loads = 0;
    refuse = null;
    left = [];
    forgotten = [];
    kept = [];
    tables = [];
    kernel = fresh();
    log = history("t").config({ Network: "10.5.0.0/16", Backend: { Type: "udp" } });
    log.join("h1", udp).claim("h1", ["10.5.1.0/24"]).join("h2", udp).claim("h2", ["10.5.2.0/24"]);
  });

  function open(options: TunnelOptions): FakeTunnel {
    if (refuse !== null) throw refuse;
    // The device is made by the packet path, and outlives it.
    const there = model.state.links.has(options.device);
    if (!there) model.put("link", hostLink(options.device, { kind: "tun", mac: "", up: false }));
    const tunnel = new FakeTunnel(options, left);
    tunnels.push(tunnel);
    return tunnel;
  }

  function fresh(options: Partial<TunnelKernelOptions> = {}): TunnelKernel {
    const load = async () => {
      loads += 1;
      return { open, forget: (device: string) => void forgotten.push(device) };
    };
    const onDescriptors = (fds: TunnelFds | null): void => void kept.push(fds);
    const onTable = (table: TunnelTable | null): void => void tables.push(table);
    return new TunnelKernel(netlink, { netns: null, load, onDescriptors, onTable, ...options });
  }

  /** The model without what only the packet path knows. */
  const netlink: Kernel = {
    observe: async (scope) => {
      const found = await model.observe(scope);
      const links = Array.from(found.links, ([name, { tun: _, ...link }]) => {
        return [name, link.kind === "tun" ? { ...link, port: 0 } : link] as const;
      });
      return { ...found, links: new Map(links), peers: new Map() };
    },
    apply: (ops) => model.apply(ops),
    watch: (onChange) => model.watch(onChange),
    facts: () => model.facts(),
    routeTo: (ip) => model.routeTo(ip),
  };

  const plan = (): Plan => desired(log.state(), "h1");

  /** One round without the loop: what failed, in words. */
  async function round(wanted: Plan = plan()): Promise<readonly string[]> {
    const have = await kernel.observe(wanted.scope);
    const failed: string[] = [];
    for (const phase of phasesOf(diff(wanted.kernel, have, { fabric: "t", prune: true }))) {
      for (const outcome of await kernel.apply(phase))
        if (!outcome.ok) failed.push(outcome.message);
    }
    return failed;
  }

  async function rest(wanted: Plan = plan(), prune = true): Promise<readonly Op[]> {
    const have = await kernel.observe(wanted.scope);
    return diff(wanted.kernel, have, { fabric: "t", prune });
  }

  test("one round makes a host, with all peers in one table", async () => {
    log.join("h3", udp);
    log.claim("h3", ["10.5.3.0/24"]);
    expect(await round()).toEqual([]);
    expect(await rest()).toEqual([]);
    const [tunnel] = tunnels;
    expect(tunnel?.options).toMatchObject({
      device: "heddle0",
      mtuBytes: 1472,
      listen: [{ ip: "198.18.0.1", port: 8285 }],
      features: { persist: true },
    });
    expect(tunnel?.peers).toEqual(["h2 198.18.0.2:8285", "h3 198.18.0.3:8285"]);
    expect(tunnel?.own).toEqual(["10.5.1.0/24"]);
    // Once when it was opened, once for both peers.
    expect(tunnel?.sets).toBe(2);
  });

  test("one call takes more ops than a function takes arguments", async () => {
    await round();
    const [peer] = plan().kernel.peers.values();
    if (peer === undefined) throw new Error("the plan has no peer");
    const gone: Op = { verb: "del", noun: "peer", key: "h2", object: peer, found: peer };
    const ops = Array.from({ length: 1_000_000 }, () => gone);
    expect(await kernel.apply(ops)).toHaveLength(ops.length);
  });

  test("with each look the tunnel looks after its routes", async () => {
    await round();
    const before = tunnels[0]?.refreshed ?? 0;
    await rest();
    expect(tunnels[0]?.refreshed).toBe(before + 1);
  });

  test("a plan without a TUN loads nothing", async () => {
    const vxlan = history("t").config({ Network: "10.5.0.0/16" }).join("h1");
    vxlan.claim("h1", ["10.5.1.0/24"]);
    expect(await round(desired(vxlan.state(), "h1"))).toEqual([]);
    expect(loads).toBe(0);
    expect([kernel.status(), kernel.capabilities()]).toEqual([null, null]);
  });

  test("a tunnel without its device is missing, and the next has its peers at once", async () => {
    await round();
    model.remove("link", "heddle0");
    for (const tunnel of tunnels) tunnel.gone = 19;
    expect((await kernel.observe(plan().scope)).peers.size).toBe(0);
    expect(kernel.status()).toBeNull();
    expect(await round()).toEqual([]);
    expect(await rest()).toEqual([]);
    expect(tunnels.map(({ closed }) => closed)).toEqual([true, false]);
    expect(tunnels[1]?.peers).toEqual(["h2 198.18.0.2:8285"]);
  });

  test("a successor takes the device over and drops nothing on it", async () => {
    await round();
    kernel.close();
    expect(tunnels[0]?.closed).toBe(true);
    const routes = new Map(model.state.routes);
    kernel = fresh();
    const have = await kernel.observe(plan().scope);
    const ops = diff(plan().kernel, have, { fabric: "t", prune: true });
    expect(ops.map(({ verb, noun }) => `${verb} ${noun}`)).toEqual(["set link", "set peer"]);
    expect(await round()).toEqual([]);
    expect(await rest()).toEqual([]);
    expect(model.state.routes).toEqual(routes);
  });

  test("nothing moves before the peers of the round are in the table", async () => {
    await round();
    expect(tunnels[0]?.options.held).toBe(true);
    expect(tunnels[0]?.startedWith).toEqual(["h2 198.18.0.2:8285"]);
    log.leave("h2");
    await round();
    kernel = fresh();
    await round();
    // Without peers it starts when the round is verified, and announces nothing before
    expect([tunnels[1]?.startedWith, kernel.capabilities()]).toEqual([null, null]);
    expect(await rest()).toEqual([]);
    expect(tunnels[1]?.startedWith).toEqual([]);
    expect(kernel.capabilities()).toEqual(["offload"]);
  });

  test("peers that a predecessor's programs carry stay until the gate is open", async () => {
    const endpoint = { ip: "198.18.0.9", port: 8285 };
    left = [{ name: "h9", subnets: ["10.5.9.0/24"], endpoint, capabilities: ["offload"] }];
    await round();
    expect(tunnels[0]?.startedWith).toEqual(["h9 198.18.0.9:8285", "h2 198.18.0.2:8285"]);
    expect(await rest(plan(), false)).toEqual([]);
    expect((await rest()).map(({ verb, noun, key }) => `${verb} ${noun} ${key}`)).toEqual([
      "del peer h9",
    ]);
    expect(await round()).toEqual([]);
    expect(tunnels[0]?.peers).toEqual(["h2 198.18.0.2:8285"]);
  });

  test("a tunnel that carries already is gone on with, and then started", async () => {
    await round();
    const { link, peers } = tables.at(-1) ?? never();
    const tunnel = tunnels[0] ?? never();
    tunnel.startedWith = null;
    kernel = fresh({ running: { tunnel, link, peers } });
    expect(kept).toEqual([tunnel.fds(), tunnel.fds()]);
    expect(await rest()).toEqual([]);
    expect(tunnel.startedWith as string[] | null).toEqual(["h2 198.18.0.2:8285"]);
    expect([tunnels.length, tunnel.closed, loads]).toEqual([1, false, 1]);
    log.leave("h2");
    expect(await round()).toEqual([]);
    expect(tunnel.peers).toEqual([]);
  });

  test("the table is told once packets go by it, and that there is none before", async () => {
    const told = () => tables.map((table) => table?.peers.map(({ name }) => name) ?? null);
    await round();
    expect(told()).toEqual([null, ["h2"]]);
    log.join("h3", udp).claim("h3", ["10.5.3.0/24"]);
    await round();
    expect(told().slice(2)).toEqual([["h2", "h3"]]);
    log.update("h1", { underlay: { mtu: 1400 } });
    await round();
    await rest();
    expect(told().slice(3)).toEqual([null, ["h2", "h3"]]);
    expect(tables.at(-1)?.link).toEqual(plan().kernel.links.get("heddle0"));
    log.config({ Network: "10.5.0.0/16" });
    await round({ ...plan(), scope: { ...plan().scope, links: ["heddle0"] } });
    expect(told().slice(5)).toEqual([null]);
  });

  test("what is offered goes to the first tunnel that opens; what is open is told", async () => {
    const offer = { tun: [3], udp: [4] };
    kernel = fresh({ offer });
    refuse = new Error("not now");
    await round();
    refuse = null;
    await round();
    log.update("h1", { underlay: { mtu: 1400 } });
    await round();
    expect(tunnels.map(({ options }) => options.offer)).toEqual([offer, undefined]);
    log.config({ Network: "10.5.0.0/16" });
    expect(await round({ ...plan(), scope: { ...plan().scope, links: ["heddle0"] } })).toEqual([]);
    const open = { tun: [10], udp: [11] };
    expect(kept).toEqual([open, open, null]);
    expect(forgotten).toEqual(["heddle0"]);
  });

  test("another MTU, port or address opens anew; other subnets and peers do not", async () => {
    await round();
    log.release("h1").claim("h1", ["10.5.9.0/24"]);
    expect(await round()).toEqual([]);
    expect(tunnels.map(({ own }) => own)).toEqual([["10.5.9.0/24"]]);
    log.update("h2", { publicIp: "198.18.0.22" });
    expect(await round()).toEqual([]);
    expect(tunnels.map(({ peers }) => peers)).toEqual([["h2 198.18.0.22:8285"]]);
    log.update("h1", { underlay: { mtu: 1400 } });
    expect(await round()).toEqual([]);
    expect(tunnels.map(({ options }) => options.mtuBytes)).toEqual([1472, 1372]);
    log.config({ Network: "10.5.0.0/16", Backend: { Type: "udp", Port: 4000 } });
    expect(await round()).toEqual([]);
    expect(tunnels[2]?.options.listen).toEqual([{ ip: "198.18.0.1", port: 4000 }]);
    expect(tunnels.map(({ closed }) => closed)).toEqual([true, true, false]);
    expect(await rest()).toEqual([]);
  });

  test("a peer that leaves goes from the table, another backend closes the tunnel", async () => {
    await round();
    log.leave("h2");
    expect(await round()).toEqual([]);
    expect(tunnels[0]?.peers).toEqual([]);
    log.config({ Network: "10.5.0.0/16" });
    expect(await round({ ...plan(), scope: { ...plan().scope, links: ["heddle0"] } })).toEqual([]);
    expect(tunnels[0]?.closed).toBe(true);
    expect(model.state.links.has("heddle0")).toBe(false);
  });

  test("what cannot be opened is told in one line, and its peers fail with it", async () => {
    refuse = new Error("the tunnel's library is not built (make -C native): /a, /b");
    const [why, peers] = await round();
    expect(why).toBe("the packet path is not built: run npm run build:native");
    expect(peers).toMatch(/no tunnel is open|ENODEV/);
    refuse = Object.assign(new Error("UDP 198.18.0.1 port 8285: taken"), { errno: 98 });
    const [op] = diff(plan().kernel, emptyKernelState(), { fabric: "t", prune: false });
    if (op === undefined) throw new Error("nothing to do");
    const [outcome] = await kernel.apply([op]);
    expect(outcome).toEqual({ ok: false, errno: 98, message: "UDP 198.18.0.1 port 8285: taken" });
    refuse = null;
    expect(await round()).toEqual([]);
    expect(await rest()).toEqual([]);
  });

  test("somebody else's device of that name is never opened", async () => {
    model.put("link", hostLink("heddle0", { kind: "bridge" }));
    expect((await round())[0]).toContain("exists and is not ours (kind bridge)");
    expect([loads, tunnels.length]).toEqual([0, 0]);
  });

  test("says which features are off and why, and announces what the others may use", async () => {
    await round();
    expect(kernel.capabilities()).toEqual(["offload"]);
    expect(kernel.status()).toEqual({
      device: "heddle0",
      port: 8285,
      listen: ["198.18.0.1"],
      features: [
        { name: "vnet-header", on: true, reason: null },
        { name: "kernel-encap", on: false, reason: "EOPNOTSUPP" },
        { name: "kernel-decap", on: false, reason: "EINVAL, as before Linux 6.6" },
        { name: "tun-tso4", on: false, reason: "EINVAL" },
        { name: "tun-uso", on: false, reason: "needs another feature" },
        { name: "tun-napi", on: false, reason: "not wanted" },
      ],
      counters: { rx_drop_source: 7 },
      peers: [{ name: "h2", txPackets: 1, txBytes: 2, rxPackets: 3, rxBytes: 4 }],
    });
  });
});
