// vxlan: a tunnel device per family; per peer a permanent neighbour, a forwarding entry and a route
// through the peer's own network address. With DirectRouting, peers on the same link get a plain
// route instead. The objects are flannel's, so that either can be read by who knows the other.

import {
  type Cidr,
  type Family,
  hostPrefix,
  type Ip,
  type Mac,
  networkAddress,
} from "../events/address.ts";
import { isOnDemand, type VxlanBackend } from "../events/network-config-backend.ts";
import { addOnDemand, addSolicit, entriesOf } from "./desired-vxlan-miss.ts";
import {
  addRoute,
  type BackendPlan,
  type Draft,
  familyName,
  type Host,
  type OwnHost,
  planPeers,
  type Reached,
  routeTo,
} from "./draft.ts";
import { keyOf, type Link } from "./kernel-state.ts";
import { aliasOf, deviceName } from "./link.ts";
import { onlinkTest } from "./onlink.ts";
import type { Peer } from "./peer.ts";
import type { RuleScope } from "./rule.ts";

/** Outer Ethernet, IP, UDP and VXLAN headers less the inner one that the MTU does not count. */
const OVERHEAD = { ipv4: 50, ipv6: 70 } as const;
/** RFC 8200: below this the kernel takes IPv6 off a device. */
const IPV6_MTU_MIN = 1280;

/** What the host holds whoever its peers are. */
export function planOwnVxlan(draft: Draft, host: OwnHost, backend: VxlanBackend): BackendPlan {
  const links: Link[] = [];
  for (const scope of host.scopes) {
    const link = linkFor(draft, host, backend, scope.family);
    if (link === null) continue;
    draft.kernel.links.set(keyOf.link(link), link);
    addScope(draft, link, scope);
    addSolicit(draft, link.name, scope.family, backend);
    if (isOnDemand(backend)) addOnDemand(draft, scope);
    links.push(link);
  }
  const [first] = links;
  return {
    mtu: Math.min(...links.map((link) => link.mtu), host.self.underlay.mtu),
    device: first === undefined ? null : { name: first.name, mtu: first.mtu },
  };
}

/** What it holds for its peers, on the devices of `draft`. */
export function planVxlanPeers(draft: Draft, host: Host, backend: VxlanBackend): void {
  const { dev, onlink } = host.self.underlay;
  const isOnlink = backend.directRouting ? onlinkTest(onlink) : () => false;
  const onMiss = isOnDemand(backend);
  const devices = { ipv4: deviceName(backend.vni, "ipv4"), ipv6: deviceName(backend.vni, "ipv6") };
  planPeers(draft, host, (peer, subnet, family, publicIp) => {
    if (isOnlink(publicIp)) {
      addRoute(draft, routeTo(subnet, publicIp, dev, false), peer.name);
      return { path: "direct" };
    }
    const device = devices[family];
    if (!draft.kernel.links.has(device)) {
      return { error: `this host has no ${familyName[family]} tunnel` };
    }
    return tunnel(draft, device, peer, subnet, family, publicIp, onMiss);
  });
}

/** The device whose outer header is of `family`; null, with a problem told, if none can be. */
export function linkFor(
  draft: Draft,
  { state, self }: OwnHost,
  backend: VxlanBackend,
  family: Family,
): Link | null {
  const local = family === "ipv4" ? self.underlay.local : self.underlay.localv6;
  const mac = family === "ipv4" ? self.vtepMac : self.vtepMacV6;
  if (local === null || mac === null) {
    const what = local === null ? `${self.underlay.dev} has no` : "this host announced no VTEP for";
    draft.problems.push(`${what} ${familyName[family]}${local === null ? " address" : ""}`);
    return null;
  }
  return {
    name: deviceName(backend.vni, family),
    kind: "vxlan",
    vni: backend.vni,
    port: backend.port,
    local,
    underlay: self.underlay.dev,
    learning: backend.learning,
    gbp: backend.gbp,
    mac,
    mtu: mtuFor(draft, backend, self.underlay.mtu, family),
    up: true,
    alias: aliasOf(state.fabric),
  };
}

function mtuFor(draft: Draft, backend: VxlanBackend, carried: number, family: Family): number {
  const outer = Math.min(backend.mtu ?? carried, carried);
  const mtu = outer - OVERHEAD[family];
  const label = familyName[family];
  if (backend.mtu !== null && backend.mtu > carried) {
    draft.problems.push(
      `Backend.MTU ${backend.mtu} is more than the underlay carries (${carried}): ` +
        `the ${label} tunnel has MTU ${mtu}`,
    );
  }
  return mtu;
}

/** Gives the device what a host needs to speak `scope.family` through it. */
export function addScope(draft: Draft, link: Link, scope: RuleScope): void {
  const { kernel } = draft;
  const addr = { dev: link.name, address: hostPrefix(networkAddress(scope.subnet)) };
  kernel.addrs.set(keyOf.addr(addr), addr);
  if (scope.family === "ipv6") {
    noteShort(draft, link);
    // A peer could otherwise make itself our default router by an advertisement in the tunnel.
    const path = `net/ipv6/conf/${link.name}/accept_ra`;
    kernel.sysctls.set(path, { path, value: "0" });
  }
}

/** For a device that carries IPv6. */
export function noteShort(draft: Draft, { mtu }: Link): void {
  if (mtu >= IPV6_MTU_MIN) return;
  draft.problems.push(`the IPv6 tunnel has MTU ${mtu}, IPv6 needs at least ${IPV6_MTU_MIN}`);
}

function tunnel(
  draft: Draft,
  dev: string,
  peer: Peer,
  subnet: Cidr,
  family: Family,
  dst: Ip,
  onDemand: boolean,
): Reached {
  const mac: Mac | null = peer.vtepMac[family];
  if (mac === null) return { error: `no ${familyName[family]} VTEP MAC address for ${subnet}` };
  addRoute(draft, routeTo(subnet, networkAddress(subnet), dev, true), peer.name);
  if (onDemand) return { path: "on-miss" };
  const { kernel, servedBy } = draft;
  const { neigh, fdb } = entriesOf(dev, subnet, mac, dst);
  const neighKey = keyOf.neigh(neigh);
  kernel.neighs.set(neighKey, neigh);
  servedBy.set("neigh", neighKey, peer.name);
  const fdbKey = keyOf.fdb(fdb);
  kernel.fdb.set(fdbKey, fdb);
  servedBy.set("fdb", fdbKey, peer.name);
  return { path: "vxlan" };
}
