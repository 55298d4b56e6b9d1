// What the model of a kernel answers when asked about the host it is in.

import type { HostFacts } from "../../src/reconcilers/kernel.ts";
import { type KernelState, PROTOCOL } from "../../src/reconcilers/kernel-state.ts";
import type { Routing } from "./kernel-model-route.ts";

export function factsOf(
  { links, addrs, routes }: KernelState,
  routing: Routing,
  indexes: ReadonlyMap<string, number>,
): HostFacts {
  const addresses = (dev: string) =>
    Array.from(addrs.values())
      .filter((addr) => addr.dev === dev && !addr.address.startsWith("fe80:"))
      .map(({ address }) => address);
  const defaults = (dst: string) =>
    Array.from(routes.values())
      .filter((route) => route.dst === dst)
      .sort((a, b) => a.metric - b.metric)
      .map(({ dev }) => dev);
  return {
    devices: Array.from(links.values(), ({ name, kind, mtu, up, mac, alias }) => ({
      ...{ name, index: indexes.get(name) ?? 0, kind, mtu, up, mac, alias },
      addresses: addresses(name),
    })),
    defaultDevs: { ipv4: defaults("0.0.0.0/0"), ipv6: defaults("::/0") },
    onlink: routing.routes
      .filter(({ via, protocol }) => via === null && protocol !== PROTOCOL)
      .filter(({ dst }) => !dst.startsWith("fe80:") && !dst.endsWith("/0"))
      .map(({ dev, dst }) => ({ dev, prefix: dst })),
  };
}
