// Everybody else who holds a subnet, as the backends see them: nodes with a live lease and foreign
// peers alike, with what is known about how to reach them in each family.

import type { Cidr, Ip, Mac } from "../events/address.ts";
import type { BackendType } from "../events/event.ts";
import type { FabricState, ForeignPeer, Node } from "../events/state.ts";

export interface Peer {
  /** Node name, or `peer:<name>`. */
  readonly name: string;
  readonly subnets: readonly Cidr[];
  readonly publicIp: { readonly ipv4: Ip | null; readonly ipv6: Ip | null };
  readonly vtepMac: { readonly ipv4: Mac | null; readonly ipv6: Mac | null };
  /** What it announced; null for a foreign peer, which announces nothing. */
  readonly backend: BackendType | null;
  readonly capabilities: readonly string[];
}

/** In the order of the log: leases as they were claimed, then foreign peers as they were added. */
export function* peersOf(state: Readonly<FabricState>, self: string): Generator<Peer> {
  for (const lease of state.leases.values()) {
    const node = state.nodes.get(lease.node);
    if (lease.node !== self && node?.present) yield memberPeer(node, lease.subnets);
  }
  for (const peer of state.peers.values()) yield foreignPeer(peer);
}

/** Who but `self` holds this very subnet, or null. */
export function peerOf(state: Readonly<FabricState>, self: string, subnet: Cidr): Peer | null {
  const owner = state.owners.get(subnet);
  if (owner === undefined) {
    for (const peer of state.peers.values()) if (peer.subnet === subnet) return foreignPeer(peer);
    return null;
  }
  const [node, lease] = [state.nodes.get(owner), state.leases.get(owner)];
  if (owner === self || !node?.present || lease === undefined) return null;
  return memberPeer(node, lease.subnets);
}

export function memberPeer(node: Node, subnets: readonly Cidr[]): Peer {
  return {
    name: node.node,
    subnets,
    publicIp: { ipv4: node.publicIp, ipv6: node.publicIpv6 },
    vtepMac: { ipv4: node.vtepMac, ipv6: node.vtepMacV6 },
    backend: node.backend,
    capabilities: node.capabilities,
  };
}

export function foreignPeer({ name, subnet, publicIp, vtepMac }: ForeignPeer): Peer {
  const six = publicIp.includes(":");
  return {
    name: `peer:${name}`,
    subnets: [subnet],
    publicIp: { ipv4: six ? null : publicIp, ipv6: six ? publicIp : null },
    vtepMac: { ipv4: vtepMac, ipv6: vtepMac },
    backend: null,
    capabilities: [],
  };
}
