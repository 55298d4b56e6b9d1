// A plan in the making: what the backends have in common when they turn peers into kernel objects.
// A peer is planned subnet by subnet; one that cannot be reached gets a reason and nothing else.

import { type Cidr, type Family, familyOf, type Ip } from "../events/address.ts";
import type { FabricConfig } from "../events/network-config.ts";
import type { FabricState, Lease, Node } from "../events/state.ts";
import {
  emptyKernelState,
  keyOf,
  type MutableKernelState,
  PROTOCOL,
  type Route,
} from "./kernel-state.ts";
import { type Peer, peersOf } from "./peer.ts";
import type { PeerPath, PeerPlan, Plan } from "./plan.ts";
import type { RuleScope } from "./rule.ts";
import { ServedBy } from "./served-by.ts";

/** A host that takes part, it has joined and holds a lease: what no other host has a say in. */
export interface OwnHost {
  readonly state: { readonly fabric: string };
  readonly config: FabricConfig;
  readonly self: Pick<Node, "underlay" | "vtepMac" | "vtepMacV6" | "backend" | "ipMasq">;
  /** The families of the fabric with what this host leases of each, IPv4 first. */
  readonly scopes: readonly RuleScope[];
}

export interface Host extends OwnHost {
  readonly state: Readonly<FabricState>;
  readonly self: Node;
}

/** Of a plan, what is the same whoever the peers are. */
export interface OwnPlan extends Pick<Plan, "scope" | "device" | "subnetEnv"> {
  readonly draft: Draft;
}

export interface Draft {
  readonly kernel: MutableKernelState;
  readonly peers: PeerPlan[];
  readonly servedBy: ServedBy;
  readonly problems: string[];
}

/** What a backend returns for the host, besides filling the draft. */
export interface BackendPlan {
  readonly device: Plan["device"];
  /** The smallest MTU a container may meet on its way; goes into subnet.env. */
  readonly mtu: number;
}

export type Reached = { readonly path: PeerPath } | { readonly error: string };
export type Reach = (peer: Peer, subnet: Cidr, family: Family, publicIp: Ip) => Reached;

export const familyName = { ipv4: "IPv4", ipv6: "IPv6" } as const;

export function newDraft(): Draft {
  return { kernel: emptyKernelState(), peers: [], servedBy: new ServedBy(), problems: [] };
}

export function scopesOf(config: FabricConfig, { subnets }: Pick<Lease, "subnets">): RuleScope[] {
  const scopes: RuleScope[] = [];
  for (const pool of [config.ipv4, config.ipv6]) {
    const subnet = subnets.find((each) => familyOf(each) === pool?.family);
    if (pool === null || subnet === undefined) continue;
    scopes.push({ family: pool.family, network: pool.network, subnet });
  }
  return scopes;
}

export function planPeers(draft: Draft, host: Host, reach: Reach): void {
  planEach(draft, host, (peer) => planPeer(peer, reach));
}

/** Plans every peer that announced the fabric's backend, or announces none. */
export function planEach(
  draft: Draft,
  { state, config, self }: Host,
  plan: (peer: Peer) => PeerPlan,
): void {
  for (const peer of peersOf(state, self.node)) {
    draft.peers.push(unlike(peer, config) ?? plan(peer));
  }
}

/** Of a peer that announced another backend than the fabric's, or null. */
export function unlike(peer: Peer, { backend: { type } }: FabricConfig): PeerPlan | null {
  if (peer.backend === null || peer.backend === type) return null;
  const why = `announces backend ${peer.backend}, the fabric uses ${type}`;
  return peerPlan(peer, "none", why);
}

export function planPeer(peer: Peer, reach: Reach): PeerPlan {
  let path: PeerPath = "none";
  let error: string | null = null;
  for (const subnet of peer.subnets) {
    const family = familyOf(subnet);
    const publicIp = peer.publicIp[family];
    const reached =
      publicIp === null
        ? { error: `no public ${familyName[family]} address for ${subnet}` }
        : reach(peer, subnet, family, publicIp);
    if ("error" in reached) error = error === null ? reached.error : `${error}; ${reached.error}`;
    else if (path === "none") path = reached.path;
  }
  return peerPlan(peer, path, error);
}

export function peerPlan(peer: Peer, path: PeerPath, error: string | null): PeerPlan {
  return { node: peer.name, subnets: peer.subnets, publicIp: publicIpOf(peer), path, error };
}

/** The address for the peer's first subnet, or any that is known. */
export function publicIpOf({ publicIp, subnets }: Peer): Ip | null {
  const six = subnets[0]?.includes(":") ?? false;
  const { ipv4, ipv6 } = publicIp;
  return six ? (ipv6 ?? ipv4) : (ipv4 ?? ipv6);
}

/**
 * A route of ours, without a gateway if `via` is null; the metric is what the kernel itself gives a
 * route without one.
 */
export function routeTo(dst: Cidr, via: Ip | null, dev: string, onlink: boolean): Route {
  const metric = familyOf(dst) === "ipv6" ? 1024 : 0;
  return { dst, via, dev, onlink, metric, protocol: PROTOCOL, extra: null };
}

/** `peer` is whom it serves; null for a route of the host itself. */
export function addRoute(draft: Draft, route: Route, peer: string | null): void {
  const key = keyOf.route(route);
  draft.kernel.routes.set(key, route);
  if (peer !== null) draft.servedBy.set("route", key, peer);
}
