// udp: one TUN device for both families, the packet path of native/ behind it, and one route for
// the whole network: which host a packet goes to is the packet path's own table, so the kernel
// holds as much for three peers as for ten thousand. Containers of both families travel to a peer
// over one outer address: its IPv4 one if this host has one too, else its IPv6 one.

import {
  type Cidr,
  contains,
  familyOf,
  hostPrefix,
  type Ip,
  networkAddress,
  prefixOf,
} from "../events/address.ts";
import type { UdpBackend } from "../events/network-config-backend.ts";
import {
  addRoute,
  type BackendPlan,
  type Draft,
  type Host,
  peerPlan,
  planEach,
  routeTo,
} from "./draft.ts";
import { keyOf, type Link, type TunPeer } from "./kernel-state.ts";
import { aliasOf, TUN_NAME } from "./link.ts";
import type { Peer } from "./peer.ts";

/** Outer IP and UDP headers; between them and the inner packet is nothing (flannel's format). */
const OVERHEAD = { ipv4: 28, ipv6: 48 } as const;
/** RFC 8200: below this the kernel takes IPv6 off a device. */
const IPV6_MTU_MIN = 1280;

export function planUdp(draft: Draft, host: Host, backend: UdpBackend): BackendPlan {
  const ends = planEnds(draft, host, backend);
  const listen = listenOn(host, ends);
  if (listen.length === 0) {
    draft.problems.push(`${host.self.underlay.dev} has no address to send from`);
    return { mtu: host.self.underlay.mtu, device: null };
  }
  const mtu = mtuFor(draft, host, backend, ends, listen);
  const link: Link = {
    name: TUN_NAME,
    kind: "tun",
    vni: 0,
    port: backend.port,
    local: "",
    underlay: "",
    learning: false,
    gbp: false,
    mac: "",
    mtu,
    up: true,
    alias: aliasOf(host.state.fabric),
    tun: { listen, subnets: host.scopes.map(({ subnet }) => subnet) },
  };
  draft.kernel.links.set(keyOf.link(link), link);
  addDevice(draft, host);
  for (const end of ends) addEnd(draft, host, end);
  return { mtu, device: { name: TUN_NAME, mtu } };
}

/** Where each peer is reached; what cannot be is told in the draft. */
function planEnds(draft: Draft, host: Host, backend: UdpBackend): readonly TunPeer[] {
  const ends = new Map<string, TunPeer>();
  planEach(draft, host, (peer) => {
    const ip = outerIp(host, peer);
    if (ip === null) return peerPlan(peer, "none", "no public address that this host can reach");
    ends.set(peer.name, {
      dev: TUN_NAME,
      name: peer.name,
      subnets: peer.subnets,
      ip,
      port: backend.port,
      capabilities: usable(host, peer),
    });
    return { ...peerPlan(peer, "udp", null), publicIp: ip };
  });
  return [...ends.values()];
}

/**
 * By what both hosts announced, so that each expects the other's packets from where they come. A
 * foreign peer is written to as it wants, if this host can.
 */
function outerIp({ self }: Host, { publicIp, backend }: Peer): Ip | null {
  const { local, localv6 } = self.underlay;
  const foreign = backend === null;
  const four = local !== null && (foreign || self.publicIp !== null);
  const six = localv6 !== null && (foreign || self.publicIpv6 !== null);
  return (four ? publicIp.ipv4 : null) ?? (six ? publicIp.ipv6 : null);
}

/** Uncut packets come back to whoever sends them; so only once the log says that we take them. */
function usable({ self }: Host, { capabilities }: Peer): readonly string[] {
  return capabilities.filter((name) => name !== "offload" || self.capabilities.includes(name));
}

/** The local addresses that somebody may send to, or that we send from; no socket without need. */
function listenOn({ self }: Host, ends: readonly TunPeer[]): readonly Ip[] {
  const { local, localv6 } = self.underlay;
  const needs = (announced: Ip | null, six: boolean): boolean =>
    announced !== null || ends.some(({ ip }) => ip.includes(":") === six);
  const listen: Ip[] = [];
  if (local !== null && needs(self.publicIp, false)) listen.push(local);
  if (localv6 !== null && needs(self.publicIpv6, true)) listen.push(localv6);
  return listen;
}

/** One MTU for all, so the longer outer header counts as soon as one peer needs it. */
function mtuFor(
  draft: Draft,
  { self, scopes }: Host,
  backend: UdpBackend,
  ends: readonly TunPeer[],
  listen: readonly Ip[],
): number {
  const carried = self.underlay.mtu;
  const six =
    ends.some(({ ip }) => familyOf(ip) === "ipv6") || listen.every((ip) => ip.includes(":"));
  const mtu = Math.min(backend.mtu ?? carried, carried) - OVERHEAD[six ? "ipv6" : "ipv4"];
  if (backend.mtu !== null && backend.mtu > carried) {
    draft.problems.push(
      `Backend.MTU ${backend.mtu} is more than the underlay carries (${carried}): ` +
        `the tunnel has MTU ${mtu}`,
    );
  }
  if (mtu < IPV6_MTU_MIN && scopes.some(({ family }) => family === "ipv6")) {
    draft.problems.push(`the tunnel has MTU ${mtu}, IPv6 needs at least ${IPV6_MTU_MIN}`);
  }
  return mtu;
}

function addDevice(draft: Draft, { scopes }: Host): void {
  const { kernel } = draft;
  for (const { family, network, subnet } of scopes) {
    const addr = { dev: TUN_NAME, address: hostPrefix(networkAddress(subnet)) };
    kernel.addrs.set(keyOf.addr(addr), addr);
    addRoute(draft, routeTo(network, null, TUN_NAME, false), null);
    if (family === "ipv4") continue;
    // A peer could otherwise make itself our default router by an advertisement in the tunnel.
    const path = `net/ipv6/conf/${TUN_NAME}/accept_ra`;
    kernel.sysctls.set(path, { path, value: "0" });
  }
}

function addEnd(draft: Draft, host: Host, end: TunPeer): void {
  const key = keyOf.peer(end);
  draft.kernel.peers.set(key, end);
  draft.servedBy.set("peer", key, end.name);
  for (const subnet of end.subnets) {
    // Only a foreign peer can own something outside the network.
    if (isInside(host, subnet)) continue;
    addRoute(draft, routeTo(subnet, null, TUN_NAME, false), end.name);
  }
}

function isInside({ scopes }: Host, subnet: Cidr): boolean {
  return scopes.some(({ network }) => contains(prefixOf(network), prefixOf(subnet)));
}
