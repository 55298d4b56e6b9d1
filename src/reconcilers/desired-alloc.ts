// alloc: leases and subnet.env, and nothing in the kernel. Somebody else carries the packets.

import { type BackendPlan, type Draft, type Host, publicIpOf } from "./draft.ts";
import { peersOf } from "./peer.ts";

export function planAlloc(draft: Draft, { state, self }: Host): BackendPlan {
  for (const peer of peersOf(state, self.node)) {
    const { name, subnets } = peer;
    draft.peers.push({
      node: name,
      subnets,
      publicIp: publicIpOf(peer),
      path: "none",
      error: null,
    });
  }
  const { dev, mtu } = self.underlay;
  return { mtu, device: { name: dev, mtu } };
}
