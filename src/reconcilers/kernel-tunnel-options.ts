// A link and its peers, as the packet path wants to be told of them.

import type { TunnelOptions } from "../ffi/tunnel.ts";
import type { TunnelFds, TunnelPeer } from "../ffi/tunnel-encode.ts";
import type { Link, TunPeer } from "./kernel-state.ts";

/** The device outlives the process; nothing is forwarded before peers are told. */
export function tunnelOptions(
  { name, mtu, port, tun }: Link,
  netns: string | null,
  offer?: TunnelFds,
): TunnelOptions {
  return {
    device: name,
    netns,
    mtuBytes: mtu,
    listen: (tun?.listen ?? []).map((ip) => ({ ip, port })),
    features: { persist: true },
    held: true,
    ...(offer === undefined ? {} : { offer }),
  };
}

export function tunnelPeers(peers: Iterable<TunPeer>): TunnelPeer[] {
  return Array.from(peers, ({ name, subnets, ip, port, capabilities }) => {
    return { name, subnets, endpoint: { ip, port }, capabilities };
  });
}
