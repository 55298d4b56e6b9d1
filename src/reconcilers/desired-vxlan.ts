// vxlan: a tunnel device per family; per peer a permanent neighbour, a forwarding entry and a route
// through the peer's own network address. With DirectRouting, peers on the same link get a plain
// route instead. The objects are flannel's, so that either can be read by who knows the other.

import { type Family, hostPrefix, type Mac, networkAddress } from "../events/address.ts";
import { isOnDemand, type VxlanBackend } from "../events/network-config-backend.ts";
import { addOnDemand, addSolicit, type Entries, entriesOf } from "./desired-vxlan-miss.ts";
import {
  type BackendPlan,
  type Draft,
  familyName,
  type OwnHost,
  planPeer,
  routeTo,
  unlike,
} from "./draft.ts";
import { keyOf, type Link, type Route } from "./kernel-state.ts";
import { aliasOf, deviceName } from "./link.ts";
import { onlinkTest } from "./onlink.ts";
import type { Peer } from "./peer.ts";
import type { PeerPart, Served } from "./peer-rows.ts";
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

/** What a host holds for a peer, on the devices of its own part. */
export function vxlanPeer(
  { config, self }: OwnHost,
  { kernel: { links } }: Pick<Draft, "kernel">,
  backend: VxlanBackend,
): (peer: Peer) => PeerPart {
  const { dev, onlink } = self.underlay;
  const isOnlink = backend.directRouting ? onlinkTest(onlink) : () => false;
  const onMiss = isOnDemand(backend);
  const devices = { ipv4: deviceName(backend.vni, "ipv4"), ipv6: deviceName(backend.vni, "ipv6") };
  return (peer) => {
    const objects: Served[] = [];
    const other = unlike(peer, config);
    if (other !== null) return { plan: other, objects };
    const plan = planPeer(peer, (_, subnet, family, publicIp) => {
      if (isOnlink(publicIp)) {
        objects.push(routed(routeTo(subnet, publicIp, dev, false)));
        return { path: "direct" };
      }
      const device = devices[family];
      const label = familyName[family];
      if (!links.has(device)) return { error: `this host has no ${label} tunnel` };
      const mac: Mac | null = peer.vtepMac[family];
      if (mac === null) return { error: `no ${label} VTEP MAC address for ${subnet}` };
      objects.push(routed(routeTo(subnet, networkAddress(subnet), device, true)));
      if (onMiss) return { path: "on-miss" };
      objects.push(...served(entriesOf(device, subnet, mac, publicIp)));
      return { path: "vxlan" };
    });
    return { plan, objects };
  };
}

function routed(object: Route): Served {
  return { noun: "route", key: keyOf.route(object), object };
}

function served({ neigh, fdb }: Entries): readonly Served[] {
  return [
    { noun: "neigh", key: keyOf.neigh(neigh), object: neigh },
    { noun: "fdb", key: keyOf.fdb(fdb), object: fdb },
  ];
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
