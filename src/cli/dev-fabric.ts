// A whole fabric on one machine: every host a network namespace with its own agent process, every
// container a namespace behind its host, one bridge as the wire between the hosts, and a real
// nats-server. Used by `heddle dev`, the demo and the end-to-end tests.
//
//   <p>-sw  br0 198.18.0.254  nats-server
//             |  |  |
//   <p>-h1  eth0 198.18.0.1   heddle agent    ctr0 10.5.x.1
//                                               |
//   <p>-c1                                     eth0 10.5.x.2

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type NatsServer, startNatsServer } from "../agent/nats-server.ts";
import { addNetns, addVeth, deleteNetns, inside, ip, run } from "./dev-netns.ts";

export interface DevOptions {
  /** Prefix of all names; short, because namespaces and devices carry it. */
  readonly prefix: string;
  readonly hosts: number;
  /** Where state, sockets and logs go; made if absent. */
  readonly dir: string;
  /** Bytes a frame on the wire may carry; 1500 as on plain Ethernet. */
  readonly underlayMtu?: number;
  readonly fabric?: string;
}

export interface DevHost {
  readonly name: string;
  readonly index: number;
  readonly netns: string;
  readonly container: string;
  readonly ip: string;
  readonly ipv6: string;
  readonly dir: string;
  readonly socket: string;
  readonly subnetFile: string;
}

/** Underlay of a development fabric: the range for network tests (RFC 2544) and a ULA. */
const UNDERLAY = { ipv4: "198.18.0", ipv6: "fd00:198:18:" } as const;

export interface DevFabric {
  readonly fabric: string;
  readonly nats: string;
  readonly switch: string;
  readonly hosts: readonly DevHost[];
  readonly server: NatsServer;
}

/** Where a fabric with this prefix keeps its files, so that leftovers can be told by their name. */
export function devDir(prefix: string): string {
  return join(tmpdir(), `heddle-${prefix}`);
}

/**
 * Namespaces, wires and the server; no agent yet. Undo with `removeFabric`; when it throws, nothing
 * is left.
 */
export async function createFabric(options: DevOptions): Promise<DevFabric> {
  const { prefix, dir } = options;
  const wire = `${prefix}-sw`;
  const hosts = Array.from({ length: options.hosts }, (_, i) => devHost(options, i + 1));
  try {
    mkdirSync(dir, { recursive: true });
    makeWire(wire, options.underlayMtu ?? 1500);
    for (const host of hosts) connectHost(host, wire, options.underlayMtu ?? 1500);
    const server = await startNatsServer({
      storeDir: join(dir, "nats"),
      listen: `${UNDERLAY.ipv4}.254:-1`,
      enter: inside(wire, []),
    });
    return { fabric: options.fabric ?? "default", nats: server.url, switch: wire, hosts, server };
  } catch (error) {
    removeParts(hosts, wire, dir);
    throw error;
  }
}

function makeWire(wire: string, mtu: number): void {
  addNetns(wire);
  ip(wire, "link add br0 type bridge");
  ip(wire, `link set br0 mtu ${mtu} up`);
  ip(wire, `addr add ${UNDERLAY.ipv4}.254/24 dev br0`);
  ip(wire, `addr add ${UNDERLAY.ipv6}:fe/64 dev br0 nodad`);
}

function devHost({ prefix, dir }: DevOptions, index: number): DevHost {
  const name = `h${index}`;
  const home = join(dir, name);
  return {
    name,
    index,
    netns: `${prefix}-h${index}`,
    container: `${prefix}-c${index}`,
    ip: `${UNDERLAY.ipv4}.${index}`,
    ipv6: `${UNDERLAY.ipv6}:${index.toString(16)}`,
    dir: home,
    socket: join(home, "heddle.sock"),
    subnetFile: join(home, "subnet.env"),
  };
}

function connectHost(host: DevHost, wire: string, mtu: number): void {
  mkdirSync(host.dir, { recursive: true });
  addNetns(host.netns);
  addVeth({ netns: wire, dev: host.name }, { netns: host.netns, dev: "eth0" });
  ip(wire, `link set ${host.name} mtu ${mtu} master br0 up`);
  ip(host.netns, `link set eth0 mtu ${mtu} up`);
  ip(host.netns, `addr add ${host.ip}/24 dev eth0`);
  ip(host.netns, `addr add ${host.ipv6}/64 dev eth0 nodad`);
}

/**
 * The agent's command line for `host`; the caller starts it and owns the process, which ends with
 * its starter even when that is killed: an agent without its namespaces is good for nothing.
 */
export function agentCommand(
  fabric: DevFabric,
  host: DevHost,
  program: readonly string[],
  extra: readonly string[] = [],
): readonly string[] {
  const agent = inside(host.netns, [
    ...program,
    "agent",
    ...["--nats", fabric.nats, "--fabric", fabric.fabric, "--node", host.name],
    ...["--iface", "eth0", "--socket", host.socket, "--state-dir", join(host.dir, "state")],
    ...["--subnet-file", host.subnetFile],
    ...extra,
  ]);
  return ["setpriv", "--pdeathsig", "KILL", ...agent];
}

export interface SubnetEnv {
  readonly ipv4: string | null;
  readonly ipv6: string | null;
  /** What all hosts together have. */
  readonly network: { readonly ipv4: string | null; readonly ipv6: string | null };
  readonly mtu: number;
}

/** subnet.env as a container runtime reads it. */
export function readSubnetEnv(host: DevHost): SubnetEnv {
  const lines = readFileSync(host.subnetFile, "utf8").trim().split("\n");
  const values = new Map(lines.map((line) => line.split("=") as [string, string]));
  return {
    ipv4: values.get("FLANNEL_SUBNET") ?? null,
    ipv6: values.get("FLANNEL_IPV6_SUBNET") ?? null,
    network: {
      ipv4: values.get("FLANNEL_NETWORK") ?? null,
      ipv6: values.get("FLANNEL_IPV6_NETWORK") ?? null,
    },
    mtu: Number(values.get("FLANNEL_MTU")),
  };
}

export interface Container {
  readonly netns: string;
  readonly ipv4: string | null;
  readonly ipv6: string | null;
}

/** How containers of a host are joined to a flat segment. */
export interface FlatBridge {
  readonly name: string;
  /** The tunnel, to be made a port of the bridge; null when the agent does that. */
  readonly port: string | null;
}

/** The bridge that a configuration names must be there before the agent can use it. */
export function addBridge(host: DevHost, name: string): void {
  ip(host.netns, `link add ${name} type bridge`);
  // Looking for duplicate addresses first would keep IPv6 silent for up to two seconds.
  run(inside(host.netns, ["sysctl", "-eqw", `net.ipv6.conf.${name}.accept_dad=0`]));
  ip(host.netns, `link set ${name} up`);
}

/** What a runtime does with subnet.env: a bridge with the first address, and one container. */
export function attachContainer(host: DevHost, flat: FlatBridge | null = null): Container {
  const env = readSubnetEnv(host);
  const bridge = flat?.name ?? "ctr0";
  addNetns(host.container);
  if (flat === null || flat.port !== null) addBridge(host, bridge);
  if (flat?.port) ip(host.netns, `link set ${flat.port} master ${bridge}`);
  ip(host.netns, `link set ${bridge} mtu ${env.mtu}`);
  addVeth({ netns: host.netns, dev: "ctr0-1" }, { netns: host.container, dev: "eth0" });
  ip(host.netns, `link set ctr0-1 mtu ${env.mtu} master ${bridge} up`);
  ip(host.container, `link set eth0 mtu ${env.mtu} up`);
  // In a flat segment everybody in the network is a neighbour.
  const within = flat === null ? env : env.network;
  return {
    netns: host.container,
    ipv4: address(host, bridge, env.ipv4, within.ipv4),
    ipv6: address(host, bridge, env.ipv6, within.ipv6),
  };
}

/** Gives the bridge the subnet's first address and the container the second; returns that one. */
function address(
  host: DevHost,
  bridge: string,
  subnet: string | null,
  within: string | null,
): string | null {
  if (subnet === null || within === null) return null;
  const [gateway = ""] = subnet.split("/");
  const [, length = ""] = within.split("/");
  const container = gateway.replace(/1$/, "2");
  const six = gateway.includes(":");
  const family = six ? "-6" : "-4";
  const nodad = six ? " nodad" : "";
  ip(host.netns, `addr add ${gateway}/${length} dev ${bridge}${nodad}`);
  ip(host.container, `addr add ${container}/${length} dev eth0${nodad}`);
  ip(host.container, `${family} route add default via ${gateway}`);
  return container;
}

/** Removes everything `createFabric` and `attachContainer` made; agents must have ended before. */
export async function removeFabric(fabric: DevFabric, dir: string): Promise<void> {
  await fabric.server.stop();
  removeParts(fabric.hosts, fabric.switch, dir);
}

function removeParts(hosts: readonly DevHost[], wire: string, dir: string): void {
  for (const host of hosts) {
    deleteNetns(host.container);
    deleteNetns(host.netns);
  }
  deleteNetns(wire);
  rmSync(dir, { recursive: true, force: true });
}

/** Namespaces and files of fabrics whose program is gone, by the pid in their prefix `hd<pid>`. */
export function removeStaleFabrics(): void {
  for (const line of run(["ip", "netns", "list"]).split("\n")) {
    const name = line.split(" ")[0] ?? "";
    if (isStale(/^hd(\d+)[a-z]?-/.exec(name)?.[1])) deleteNetns(name);
  }
  for (const name of readdirSync(tmpdir())) {
    if (!isStale(/^heddle-hd(\d+)$/.exec(name)?.[1])) continue;
    rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

function isStale(pid: string | undefined): boolean {
  return pid !== undefined && !existsSync(`/proc/${pid}`);
}
