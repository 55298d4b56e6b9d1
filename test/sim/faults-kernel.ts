// Trouble with kernels: errors, lost notifications, and others who change what is ours or add what
// looks like ours; beside it what others rightly do for themselves.

import { type Link, type Noun, PROTOCOL } from "../../src/reconcilers/kernel-state.ts";
import type { NounTypes } from "../../src/reconcilers/op.ts";
import { tableOf } from "../support/apply-ops.ts";
import { hostLink } from "../support/kernel-model.ts";
import type { FaultTable } from "./faults.ts";
import type { Host } from "./host.ts";
import type { Prng } from "./prng.ts";
import { FABRIC } from "./process.ts";
import type { World } from "./world.ts";

const ERRNOS = [16, 105, 17, 19, 12] as const;
const NOUNS = ["link", "addr", "route", "neigh", "fdb", "rule", "sysctl"] as const;
const MARK = `heddle ${FABRIC}`;

function anyHost(world: World, random: Prng): Host {
  const host = random.oneOf(world.hosts);
  if (host === null) throw new Error("a world without hosts");
  return host;
}

/** One of the objects that the agent made. */
function anyOfOurs(host: Host, noun: Noun, random: Prng): [string, NounTypes[Noun]] | null {
  const table = tableOf(host.state, noun);
  return random.oneOf([...table].filter(([key]) => !host.foreign.has(noun, key)));
}

function tunnel(host: Host, random: Prng): Link | null {
  const links = [...host.state.links.values()].filter(({ alias }) => alias === MARK);
  return random.oneOf(links);
}

function alter(host: Host, random: Prng): string | null {
  const { kernel } = host;
  const noun = random.pick(["link", "route", "neigh", "fdb", "rule", "sysctl"]);
  const found = anyOfOurs(host, noun, random);
  if (found === null) return null;
  const [key, object] = found;
  if (noun === "link") {
    const link = object as Link;
    const change = random.pick(["mtu", "down", "mac"]);
    if (change === "down") kernel.setUp(key, false);
    else if (change === "mtu") kernel.put(noun, { ...link, mtu: 1300 });
    else kernel.put(noun, { ...link, mac: "02:00:00:00:00:99" });
  }
  if (noun === "route") kernel.put(noun, { ...(object as NounTypes["route"]), extra: "mtu 900" });
  if (noun === "neigh") {
    kernel.put(noun, { ...(object as NounTypes["neigh"]), mac: "02:00:00:00:00:98" });
  }
  if (noun === "fdb") {
    kernel.remove(noun, key);
    kernel.put(noun, { ...(object as NounTypes["fdb"]), dst: "198.18.0.253" });
  }
  if (noun === "rule") kernel.put(noun, { ...(object as NounTypes["rule"]), chains: [] });
  if (noun === "sysctl") kernel.put(noun, { ...(object as NounTypes["sysctl"]), value: "0" });
  host.foreign.resync();
  return `${host.node} ${noun} ${key}`;
}

function addStray(host: Host, random: Prng): string | null {
  const { kernel } = host;
  const link = tunnel(host, random);
  const number = random.int(1, 250);
  const dst = `192.0.2.${number}/32`;
  const rest = { onlink: false, metric: 0, protocol: PROTOCOL, extra: null };
  const what = random.pick(["route", "addr", "fdb", "neigh", "link"]);
  if (what === "route") kernel.put("route", { dst, via: null, dev: "eth0", ...rest });
  if (what === "link") {
    const kind = { kind: "vxlan", vni: number + 1000, port: 8472, underlay: "eth0" };
    const local = host.underlay.ipv4;
    kernel.put("link", hostLink(`heddle.${number + 1000}`, { ...kind, local, alias: MARK }));
  }
  if (link === null) return `${host.node} ${what}`;
  const { name: dev, local } = link;
  const mac = `02:aa:00:00:00:${(number % 90) + 10}`;
  const v6 = local.includes(":");
  const ip = v6 ? `fd99::${number}` : `203.0.113.${number}`;
  if (what === "addr") kernel.put("addr", { dev, address: `${ip}/${v6 ? 128 : 32}` });
  if (what === "fdb") kernel.put("fdb", { dev, mac, dst: local, permanent: true, extra: null });
  if (what === "neigh") {
    kernel.put("neigh", { dev, ip, mac, permanent: true, protocol: PROTOCOL });
  }
  return `${host.node} ${what} ${dev}`;
}

function addForeign(host: Host, random: Prng): string {
  const { foreign } = host;
  const number = random.int(1, 250);
  const what = random.pick(["route", "addr", "link", "fabric", "rule"]);
  const rest = { onlink: false, protocol: 3, extra: null };
  const dst = `203.0.113.${number}/32`;
  if (what === "route") foreign.put("route", { dst, via: null, dev: "eth0", metric: 7, ...rest });
  if (what === "addr") {
    foreign.put("link", hostLink("eth1"));
    foreign.put("addr", { dev: "eth1", address: `100.64.0.${number}/32` });
  }
  if (what === "link") foreign.put("link", hostLink(`veth${number}`));
  if (what === "rule") foreign.put("rule", { family: "inet", name: "heddle_other", chains: [] });
  if (what === "fabric") {
    const kind = { kind: "vxlan", vni: 4000, port: 8472, underlay: "eth0", alias: "heddle other" };
    const dev = "heddle.4000";
    foreign.put("link", hostLink(dev, { ...kind, local: "198.18.0.200" }));
    foreign.put("addr", { dev, address: "10.99.0.0/32" });
    const ours = { onlink: true, metric: 0, protocol: PROTOCOL, extra: null };
    foreign.put("route", { dst: "10.99.1.0/24", via: "10.99.1.0", dev, ...ours });
  }
  return `${host.node} ${what}`;
}

export const kernelFaults: FaultTable = {
  kernelErrors(world, random) {
    const host = anyHost(world, random);
    const rate = random.pick([0, 0.05, 0.3, 0.9]);
    host.kernel.failRandomly(rate, ERRNOS);
    return `${host.node} ${rate}`;
  },
  kernelErrorOnce(world, random) {
    const host = anyHost(world, random);
    const errno = random.pick(ERRNOS);
    const noun = random.pick(NOUNS);
    host.kernel.failNext(errno, (op) => op.noun === noun);
    return `${host.node} ${noun} ${errno}`;
  },
  dumpsFail(world, random) {
    const host = anyHost(world, random);
    host.kernelFaults.dumpFails = random.pick([0, 0.1, 0.5]);
    return `${host.node} ${host.kernelFaults.dumpFails}`;
  },
  slowKernel(world, random) {
    const host = anyHost(world, random);
    host.kernelFaults.delayMsMax = random.pick([0, 3, 40, 300]);
    return `${host.node} ${host.kernelFaults.delayMsMax} ms`;
  },
  deafness(world, random) {
    const host = anyHost(world, random);
    const rate = random.pick([0, 0.5, 1]);
    host.kernel.loseRandomly(rate);
    return `${host.node} ${rate}`;
  },
  deleted(world, random) {
    const host = anyHost(world, random);
    const noun = random.pick(NOUNS);
    const found = anyOfOurs(host, noun, random);
    if (found === null) return null;
    host.kernel.remove(noun, found[0]);
    host.foreign.resync();
    return `${host.node} ${noun} ${found[0]}`;
  },
  flushed(world, random) {
    const host = anyHost(world, random);
    for (const [key, { protocol }] of [...host.state.routes]) {
      if (protocol === PROTOCOL) host.kernel.remove("route", key);
    }
    host.foreign.resync();
    return host.node;
  },
  portTaken(world, random) {
    const { node, path } = anyHost(world, random);
    path.faults.portTaken = !path.faults.portTaken;
    return `${node} ${path.faults.portTaken ? "by a stranger" : "no more"}`;
  },
  tableFails(world, random) {
    const { node, path } = anyHost(world, random);
    path.faults.tableFails = random.pick([0, 0.5, 1, 1]);
    return `${node} ${path.faults.tableFails}`;
  },
  tunnelDies(world, random) {
    const { node, path } = anyHost(world, random);
    return path.breakOpen() ? node : null;
  },
  altered: (world, random) => alter(anyHost(world, random), random),
  strays: (world, random) => addStray(anyHost(world, random), random),
  foreignAdded: (world, random) => addForeign(anyHost(world, random), random),
  foreignRemoved(world, random) {
    const host = anyHost(world, random);
    const key = random.oneOf(host.foreign.keys("link").filter((name) => name !== "eth0"));
    if (key === null) return null;
    host.foreign.remove("link", key);
    return `${host.node} ${key}`;
  },
};

export function healKernels(world: World): void {
  for (const { kernel, kernelFaults: faults, path } of world.hosts) {
    path.faults.portTaken = false;
    path.faults.tableFails = 0;
    kernel.failRandomly(0, []);
    kernel.loseRandomly(0);
    faults.dumpFails = 0;
    faults.delayMsMax = 3;
  }
}
