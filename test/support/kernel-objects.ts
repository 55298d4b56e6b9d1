// The objects that the kernel's tests use: a host with one peer in each family, and ops on them.

import type { Scope } from "../../src/reconcilers/kernel.ts";
import {
  type Fdb,
  keyOf,
  type Link,
  type Neigh,
  type Noun,
  type Route,
  type RuleTable,
} from "../../src/reconcilers/kernel-state.ts";
import type { NounTypes, Op } from "../../src/reconcilers/op.ts";

export const link: Link = {
  name: "heddle.1",
  kind: "vxlan",
  vni: 1,
  port: 8472,
  local: "198.18.0.1",
  underlay: "eth0",
  learning: false,
  gbp: false,
  mac: "02:00:00:00:00:01",
  mtu: 1450,
  up: true,
  alias: "heddle default",
};
export const link6: Link = {
  ...link,
  name: "heddle-v6.1",
  local: "2001:db8::1",
  mac: "02:00:00:00:00:02",
  mtu: 1430,
};
export const dev = link.name;
export const dev6 = link6.name;
export const peerMac = "02:00:00:00:01:02";

export const neigh = (of: string, ip: string, mac = peerMac): Neigh => ({
  dev: of,
  ip,
  mac,
  permanent: true,
  protocol: 104,
});
export const fdb = (of: string, dst: string, mac = peerMac): Fdb => ({
  dev: of,
  mac,
  dst,
  permanent: true,
  extra: null,
});
export const route = (of: string, dst: string, via: string | null, onlink = true): Route => ({
  dst,
  via,
  dev: of,
  onlink,
  metric: dst.includes(":") ? 1024 : 0,
  protocol: 104,
  extra: null,
});

export const table: RuleTable = {
  family: "inet",
  name: "heddle_default",
  chains: [
    {
      name: "forward",
      type: "filter",
      hook: "forward",
      priority: 0,
      rules: ["ip saddr 10.5.0.0/16 accept", "ip daddr 10.5.0.0/16 accept"],
    },
    {
      name: "postrouting",
      type: "nat",
      hook: "postrouting",
      priority: 100,
      rules: ["ip saddr 10.5.0.0/16 ip daddr != 10.5.0.0/16 masquerade fully-random"],
    },
  ],
};

export const scope: Scope = {
  links: [dev, dev6],
  routeDevs: [],
  sysctls: ["net/ipv4/ip_forward", "net/ipv4/no_such_value"],
  rules: ["inet heddle_default"],
};

export function set<N extends Noun>(
  noun: N,
  object: NounTypes[N],
  found: NounTypes[N] | null = null,
) {
  const key = (keyOf[noun] as (o: NounTypes[N]) => string)(object);
  return { verb: "set", noun, key, object, found } as unknown as Op;
}

export function del<N extends Noun>(noun: N, object: NounTypes[N]) {
  const key = (keyOf[noun] as (o: NounTypes[N]) => string)(object);
  return { verb: "del", noun, key, object, found: object } as unknown as Op;
}

/** Everything a host with one peer has, both families, in an order that works. */
export const hostOps: readonly Op[] = [
  set("link", link),
  set("link", link6),
  set("addr", { dev, address: "10.5.1.0/32" }),
  set("addr", { dev: dev6, address: "fd00:5:1::/128" }),
  set("neigh", neigh(dev, "10.5.2.0")),
  set("fdb", fdb(dev, "198.18.0.2")),
  set("route", route(dev, "10.5.2.0/24", "10.5.2.0")),
  set("neigh", neigh(dev6, "fd00:5:2::")),
  set("fdb", fdb(dev6, "2001:db8::2")),
  set("route", route(dev6, "fd00:5:2::/64", "fd00:5:2::")),
];
