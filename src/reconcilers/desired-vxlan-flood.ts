// vxlan as one flat layer-2 segment: one device for all containers of both families, and the whole
// network on-link. Who has which address is asked with ARP and ND across hosts, who has which MAC
// is learnt; the plan holds only where frames without a known MAC go.
//
// Containers take part through a bridge (or macvlan) with the device as a port. Their addresses
// come from the host's subnet, which makes them unique, and have the prefix length of the network.
// The host itself takes part by the bridge's address, or by the device's while it is no port.

import { type Cidr, contains, prefixOf } from "../events/address.ts";
import type { VxlanBackend } from "../events/network-config-backend.ts";
import type { Flood } from "../events/network-config-flood.ts";
import { addScope, linkFor, noteShort } from "./desired-vxlan.ts";
import { addSolicit } from "./desired-vxlan-miss.ts";
import {
  addRoute,
  type BackendPlan,
  type Draft,
  familyName,
  type Host,
  peerPlan,
  planEach,
  routeTo,
} from "./draft.ts";
import { ANY_MAC, type Fdb, keyOf, type Link } from "./kernel-state.ts";
import type { Peer } from "./peer.ts";
import type { PeerPlan } from "./plan.ts";

/**
 * Behind the routes that the kernel makes for addresses (IPv4 0, IPv6 256): when the device is a
 * bridge's port, it is the bridge's address that leads to the segment.
 */
const METRIC = 1024;

export function planFlood(
  draft: Draft,
  host: Host,
  backend: VxlanBackend,
  flood: Flood,
): BackendPlan {
  const made = linkFor(draft, host, backend, flood.underlay);
  if (made === null) {
    const why = `this host has no ${familyName[flood.underlay]} tunnel`;
    planEach(draft, host, (peer) => peerPlan(peer, "none", why));
    return { mtu: host.self.underlay.mtu, device: null };
  }
  const link = dressed(made, flood);
  draft.kernel.links.set(keyOf.link(link), link);
  for (const { family } of host.scopes) addSolicit(draft, link.name, family, backend);
  if (flood.bridge === null) joinSegment(draft, host, link);
  else if (host.scopes.some(({ family }) => family === "ipv6")) noteShort(draft, link);
  if (flood.group !== null) {
    addFlood(draft, { ...to(link, flood.group), via: link.underlay }, null);
  }
  planEach(draft, host, (peer) => planPeer(draft, host, link, flood, peer));
  return { mtu: link.mtu, device: { name: link.name, mtu: link.mtu } };
}

function dressed(link: Link, { group, bridge }: Flood): Link {
  return {
    ...link,
    ...(group === null ? {} : { group }),
    ...(bridge === null ? {} : { master: bridge }),
  };
}

/** The host's own place in the segment. */
function joinSegment(draft: Draft, { scopes }: Host, link: Link): void {
  for (const scope of scopes) {
    addScope(draft, link, scope);
    addOnlink(draft, scope.network, link, null);
  }
}

function addOnlink(draft: Draft, dst: Cidr, { name }: Link, peer: string | null): void {
  addRoute(draft, { ...routeTo(dst, null, name, false), metric: METRIC }, peer);
}

function planPeer(
  draft: Draft,
  { scopes }: Host,
  link: Link,
  { group, underlay, bridge }: Flood,
  peer: Peer,
): PeerPlan {
  const dst = peer.publicIp[underlay];
  if (group === null) {
    if (dst === null) {
      const why = `no public ${familyName[underlay]} address to send copies to`;
      return peerPlan(peer, "none", why);
    }
    addFlood(draft, to(link, dst), peer.name);
  }
  // A foreign peer may have brought a subnet from outside into the segment.
  for (const subnet of bridge === null ? peer.subnets : []) {
    const within = scopes.some(({ network }) => contains(prefixOf(network), prefixOf(subnet)));
    if (!within) addOnlink(draft, subnet, link, peer.name);
  }
  const planned = peerPlan(peer, "vxlan", null);
  return { ...planned, publicIp: dst ?? planned.publicIp };
}

function to({ name }: Link, dst: string): Fdb {
  return { dev: name, mac: ANY_MAC, dst, permanent: true, extra: null };
}

function addFlood(draft: Draft, fdb: Fdb, peer: string | null): void {
  const key = keyOf.fdb(fdb);
  draft.kernel.fdb.set(key, fdb);
  if (peer !== null) draft.servedBy.set("fdb", key, peer);
}
