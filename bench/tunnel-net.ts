// The two-host topology of the tunnel's benchmark, with three paths between the same pods:
//
//   p1 ─ br ─ h1 ═══ eth0 (underlay, MTU 1500) ═══ h2 ─ br ─ p2
//
// 10.6.x.2 goes over plain routes, 10.7.x.2 over the kernel's VXLAN, 10.5.x.2 through the tunnel,
// so that contenders are measured in turns in one set of namespaces. Packet counts of the devices
// tell which path carried a run.

import { join } from "node:path";
import { Tunnel } from "../src/ffi/tunnel.ts";
import { joinByVeth, makeNetns, type Netns, run } from "../test/support/netns.ts";

export const PATHS = ["plain", "vxlan", "heddle"] as const;
export type Path = (typeof PATHS)[number];
const NET: Record<Path, number> = { plain: 6, vxlan: 7, heddle: 5 };
const BUILD = join(import.meta.dir, "../native/build");

export const podAddress = (path: Path, host: number) => `10.${NET[path]}.${host}.2`;
export const tool = (name: string) => join(BUILD, name);

interface Host {
  readonly number: 1 | 2;
  readonly host: Netns;
  readonly pod: Netns;
}

export interface BenchNet {
  readonly one: Host;
  readonly two: Host;
  readonly tunnels: readonly [Tunnel, Tunnel];
  [Symbol.dispose](): void;
}

export interface BenchOptions {
  readonly queues: number;
  readonly features: Readonly<Record<string, boolean>>;
  readonly capabilities: readonly string[];
  /** Peers beside the one that is there. */
  readonly extraPeers: number;
}

export function makeBenchNet(options: BenchOptions): BenchNet {
  run(["make", "-s", "-C", join(BUILD, ".."), "bench"]);
  const [one, two] = [makeHost(1), makeHost(2)];
  joinByVeth(
    { netns: one.host, dev: "eth0", addresses: ["198.18.0.1/24"] },
    { netns: two.host, dev: "eth0", addresses: ["198.18.0.2/24"] },
  );
  const tunnels = [dress(one, options), dress(two, options)] as const;
  return {
    one,
    two,
    tunnels,
    [Symbol.dispose]() {
      for (const tunnel of tunnels) tunnel[Symbol.dispose]();
      for (const { host, pod } of [one, two]) {
        host[Symbol.dispose]();
        pod[Symbol.dispose]();
      }
    },
  };
}

function makeHost(number: 1 | 2): Host {
  const [host, pod] = [makeNetns(), makeNetns()];
  host.ip("link add name bridge0 type bridge");
  host.ip(`link add pod type veth peer name eth0 netns ${pod.name}`);
  host.ip("link set pod master bridge0 up");
  for (const path of PATHS) {
    host.ip(`addr add 10.${NET[path]}.${number}.1/24 dev bridge0`);
    pod.ip(`addr add ${podAddress(path, number)}/24 dev eth0`);
  }
  host.ip("link set bridge0 up");
  pod.ip("link set eth0 up");
  const other = number === 1 ? 2 : 1;
  for (const path of PATHS) {
    // One path must not choose another's address or segment size.
    const mtu = path === "plain" ? 1500 : path === "vxlan" ? 1450 : 1472;
    const gateway = `10.${NET[path]}.${number}.1 src ${podAddress(path, number)}`;
    pod.ip(`route add 10.${NET[path]}.${other}.0/24 via ${gateway} mtu ${mtu}`);
  }
  host.exec(["sysctl", "-qw", "net.ipv4.ip_forward=1"]);
  return { number, host, pod };
}

/** Routes, the VXLAN device as flannel makes it, and the tunnel. */
function dress({ number, host }: Host, options: BenchOptions): Tunnel {
  const other = number === 1 ? 2 : 1;
  host.ip(`route add 10.6.${other}.0/24 via 198.18.0.${other}`);
  host.ip(`link add vx type vxlan id 1 dev eth0 local 198.18.0.${number} dstport 8472 nolearning`);
  host.ip(`link set vx address 02:00:00:00:00:0${number} mtu 1450 up`);
  host.ip(`addr add 10.7.${number}.0/32 dev vx`);
  host.ip(`neigh add 10.7.${other}.0 lladdr 02:00:00:00:00:0${other} dev vx nud permanent`);
  host.bridge(`fdb add 02:00:00:00:00:0${other} dev vx dst 198.18.0.${other} self permanent`);
  host.ip(`route add 10.7.${other}.0/24 via 10.7.${other}.0 dev vx onlink`);
  const tunnel = Tunnel.open({
    device: "heddle0",
    netns: host.path,
    mtuBytes: 1472,
    queues: options.queues,
    listen: [{ ip: `198.18.0.${number}`, port: 8285 }],
    features: options.features,
  });
  host.ip(`addr add 10.5.${number}.0/32 dev heddle0`);
  host.ip("link set heddle0 mtu 1472 up");
  host.ip("route add 10.5.0.0/16 dev heddle0");
  setBenchPeers(tunnel, number, options);
  return tunnel;
}

export function setBenchPeers(tunnel: Tunnel, number: 1 | 2, options: BenchOptions): void {
  const other = number === 1 ? 2 : 1;
  const extra = Array.from({ length: options.extraPeers }, (_, i) => ({
    name: `x${i}`,
    subnets: [`10.${128 + (i >> 8)}.${i & 255}.0/24`],
    endpoint: { ip: `198.18.${1 + (i >> 8)}.${i & 255}`, port: 8285 },
    capabilities: [],
  }));
  const peer = {
    name: `h${other}`,
    subnets: [`10.5.${other}.0/24`],
    endpoint: { ip: `198.18.0.${other}`, port: 8285 },
    capabilities: options.capabilities,
  };
  tunnel.setPeers([peer, ...extra], [`10.5.${number}.0/24`]);
}

/** Bytes that each path's devices, or the tunnel, have carried so far, from both hosts. */
export function carried(net: BenchNet, path: Path): number {
  if (path === "heddle") {
    // What the programs in the kernel carry does not show in the device's own counters.
    const sum = net.tunnels.map((tunnel) => {
      const { total } = tunnel.counters();
      const names = ["tx_bytes", "rx_bytes", "tx_encap_bytes", "rx_decap_bytes"];
      return names.reduce((bytes, name) => bytes + (total[name] ?? 0), 0);
    });
    return sum.reduce((a, b) => a + b);
  }
  const device = path === "plain" ? "eth0" : "vx";
  return [net.one, net.two]
    .map(({ host }) => {
      const [link] = host.ipJson(`-s link show dev ${device}`);
      const stats = link?.stats64 as { rx: { bytes: number }; tx: { bytes: number } };
      return stats.rx.bytes + stats.tx.bytes;
    })
    .reduce((a, b) => a + b);
}

export function setOffloads(net: BenchNet, on: boolean): void {
  for (const { host } of [net.one, net.two]) {
    host.exec([tool("offloads"), "eth0", on ? "on" : "off"]);
  }
}
