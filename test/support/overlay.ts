// What a host of a test fabric has in its kernel, as ip, bridge and nft tell it, in a form that
// can be compared whole: complete lists, sorted, without the counters and handles that differ by
// chance.

import { type DevHost, readSubnetEnv } from "../../src/cli/dev-fabric.ts";
import { type Ran, type TestFabric, until } from "./fabric.ts";

export type Row = Record<string, unknown>;

export interface KernelView {
  /** Devices that are neither the underlay's nor a container's. */
  readonly links: readonly Row[];
  readonly addrs: readonly Row[];
  /** Routes of protocol 104, whatever their table. */
  readonly routes: readonly Row[];
  readonly neighs: readonly Row[];
  readonly fdb: readonly Row[];
  /** The whole ruleset. */
  readonly rules: readonly Row[];
}

export interface Subnets {
  /** Network addresses with length: `10.5.3.0/24`; null where the fabric has no such family. */
  readonly ipv4: string | null;
  readonly ipv6: string | null;
}

/** What the host leased, as its subnet.env tells it. */
export function subnetsOf(host: DevHost): Subnets {
  const { ipv4, ipv6 } = readSubnetEnv(host);
  // The file holds the first usable address, so the network is one below.
  return {
    ipv4: ipv4?.replace(/\.1\//, ".0/") ?? null,
    ipv6: ipv6?.replace(/::1\//, "::/") ?? null,
  };
}

export function networkOf(cidr: string): string {
  return cidr.slice(0, cidr.indexOf("/"));
}

export function viewOf(fabric: TestFabric, name: string): KernelView {
  const links = fabric.ip(name, "-d link show").filter(({ ifname }) => isOurs(ifname));
  const names = new Set(links.map(({ ifname }) => ifname));
  const onOurs = (row: Row, key: string): boolean => names.has(row[key]);
  return {
    links: sorted(links.map(linkView)),
    addrs: sorted(
      fabric
        .ip(name, "addr show")
        .filter((row) => onOurs(row, "ifname"))
        .flatMap(addrView),
    ),
    routes: sorted(fabric.ip(name, "-d route show table all proto 104")),
    neighs: sorted(
      fabric
        .ip(name, "neigh show nud all")
        // The kernel's own mapping of multicast groups.
        .filter((row) => onOurs(row, "dev") && !String(row.state).includes("NOARP")),
    ),
    fdb: sorted(fabric.bridge(name, "fdb show").filter((row) => onOurs(row, "ifname"))),
    rules: rulesOf(fabric, name),
  };
}

function isOurs(ifname: unknown): boolean {
  return !/^(lo|eth0|ctr0.*|foreign.*)$/.test(String(ifname));
}

function linkView({
  ifname,
  flags,
  mtu,
  address,
  ifalias,
  linkinfo,
  inet6_addr_gen_mode,
}: Row): Row {
  const { info_kind, info_data } = linkinfo as { info_kind: string; info_data: Row };
  const { id, local, local6, link, port, learning, ttl, ageing } = info_data;
  const up = (flags as string[]).includes("UP");
  const tunnel = { id, local: local ?? local6, link, port, learning, ttl, ageing };
  return { ifname, up, mtu, address, ifalias, info_kind, inet6_addr_gen_mode, ...tunnel };
}

function addrView({ ifname, addr_info }: Row): Row[] {
  return (addr_info as Row[]).map(({ local, prefixlen }) => ({ ifname, local, prefixlen }));
}

function rulesOf(fabric: TestFabric, name: string): Row[] {
  const ran = fabric.exec(fabric.host(name).netns, ["nft", "-j", "list", "ruleset"]);
  const { nftables } = JSON.parse(ran.out) as { nftables: Row[] };
  const strip = (key: string, value: unknown): unknown => (key === "handle" ? undefined : value);
  return nftables
    .filter((row) => !("metainfo" in row))
    .map((row) => JSON.parse(JSON.stringify(row, strip)) as Row);
}

export function sorted(rows: readonly Row[]): Row[] {
  return [...rows].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

/** Every container reaches every other, in each family; fails with those that do not in 5 s. */
export async function pingAll(fabric: TestFabric, names: readonly string[]): Promise<void> {
  const open = new Set<string>();
  for (const from of names) {
    for (const to of names) {
      if (from === to) continue;
      const { ipv4, ipv6 } = fabric.container(to);
      for (const ip of [ipv4, ipv6]) if (ip !== null) open.add(`${from} ${ip}`);
    }
  }
  if (open.size === 0) throw new Error("no container has an address");
  // A bridge port's first second may swallow neighbour solicitations.
  const round = async (): Promise<boolean> => {
    const tries = [...open].map(async (pair) => {
      const [from = "", ip = ""] = pair.split(" ");
      if (await pings(fabric, fabric.container(from).netns, ip)) open.delete(pair);
    });
    await Promise.all(tries);
    return open.size === 0;
  };
  try {
    await until("every pair pings", 5000, round);
  } catch (error) {
    throw new Error(`no ping: ${[...open].join(", ")}`, { cause: error });
  }
}

async function pings(fabric: TestFabric, netns: string, ip: string): Promise<boolean> {
  const ping = fabric.spawn(netns, ["ping", "-n", "-c1", "-W0.5", ip]);
  return (await ping.exited) === 0;
}

interface Packet {
  readonly netns: string;
  readonly to: string;
  /** Of the whole IP packet. */
  readonly bytes: number;
}

/** True when a packet that must not be fragmented is answered. */
export function passesWhole(fabric: TestFabric, packet: Packet): boolean {
  return sendWhole(fabric, packet, "2").code === 0;
}

/** What the own kernel says to a packet that must not be fragmented. */
export function refusalOf(fabric: TestFabric, packet: Packet): string {
  // ping waits for an answer to what it could not send, too.
  return sendWhole(fabric, packet, "0.1").err;
}

function sendWhole(fabric: TestFabric, { netns, to, bytes }: Packet, waitS: string): Ran {
  const headers = to.includes(":") ? 48 : 28;
  const size = String(bytes - headers);
  return fabric.exec(netns, ["ping", "-n", "-c1", "-W", waitS, "-Mdo", "-s", size, to]);
}
