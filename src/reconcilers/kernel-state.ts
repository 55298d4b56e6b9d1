// What Heddle may put into a host's kernel, as plain values: one interface per noun, one Map per
// noun keyed by the identity the kernel itself uses. The wanted state and the observed state have
// this same shape, so that diff compares like with like. Devices are named, never numbered:
// interface indexes exist only inside kernel-netlink.

import type { Cidr, Ip, Mac } from "../events/address.ts";

/** rtm_protocol and NDA_PROTOCOL of everything we own; 104 is unassigned in linux/rtnetlink.h. */
export const PROTOCOL = 104;

export interface Link {
  readonly name: string;
  /**
   * IFLA_INFO_KIND; we make "vxlan" and "tun". Anything else under our name is a foreign device.
   */
  readonly kind: string;
  readonly vni: number;
  readonly port: number;
  /** Underlay source address. */
  readonly local: Ip;
  /** Name of the underlay device (IFLA_VXLAN_LINK). */
  readonly underlay: string;
  readonly learning: boolean;
  readonly gbp: boolean;
  /** IFLA_VXLAN_GROUP: where frames go for which there is no entry; mostly absent. */
  readonly group?: Ip;
  /** The bridge whose port it is. Wanted only by a configuration that names one. */
  readonly master?: string;
  readonly mac: Mac;
  readonly mtu: number;
  readonly up: boolean;
  /** IFLA_IFALIAS: `heddle <fabric>` marks the device as made by us. */
  readonly alias: string | null;
  /** What the packet path behind a "tun" works with; absent while nobody reads the device. */
  readonly tun?: TunEnd;
}

/** The end of a userspace tunnel; its port is the link's. */
export interface TunEnd {
  /** Underlay addresses to receive on and send from, at most one per family. */
  readonly listen: readonly Ip[];
  /** Our own subnets: only packets to them are delivered. */
  readonly subnets: readonly Cidr[];
}

/** A host at the other end of a userspace tunnel: a row of the packet path's own table. */
export interface TunPeer {
  readonly dev: string;
  readonly name: string;
  readonly subnets: readonly Cidr[];
  readonly ip: Ip;
  readonly port: number;
  /** What it understands beyond flannel's wire format. */
  readonly capabilities: readonly string[];
}

export interface Addr {
  readonly dev: string;
  /** Address with prefix length as configured, e.g. `10.5.3.0/32`. */
  readonly address: string;
}

export interface Route {
  readonly dst: Cidr;
  readonly via: Ip | null;
  readonly dev: string;
  readonly onlink: boolean;
  /** Priority: 0 for IPv4, 1024 (the kernel's default) for IPv6. */
  readonly metric: number;
  readonly protocol: number;
  /** Whatever else the kernel reports and we never set (source, MTU, type, more hops), as text. */
  readonly extra: string | null;
  /** Answers ICMP unreachable to whom no other route leads further; has no device. */
  readonly unreachable?: true;
}

export interface Neigh {
  readonly dev: string;
  readonly ip: Ip;
  readonly mac: Mac | null;
  readonly permanent: boolean;
  readonly protocol: number;
}

export interface Fdb {
  readonly dev: string;
  readonly mac: Mac;
  readonly dst: Ip;
  readonly permanent: boolean;
  /** Device that packets leave by; only a multicast group has one, else the route decides. */
  readonly via?: string;
  /** Destination port or VNI set on the entry and not by us, as text. */
  readonly extra: string | null;
}

/** The MAC of entries for all that has none: each of them gets a copy of the frame. */
export const ANY_MAC: Mac = "00:00:00:00:00:00";

/** One value under /proc/sys; `path` is relative to it, e.g. `net/ipv4/ip_forward`. */
export interface Sysctl {
  readonly path: string;
  readonly value: string;
}

/**
 * An nftables table that is ours as a whole: replaced atomically, compared statement by statement.
 */
export interface RuleTable {
  readonly family: "ip" | "ip6" | "inet";
  readonly name: string;
  readonly chains: readonly RuleChain[];
}

export interface RuleChain {
  readonly name: string;
  readonly type: "filter" | "nat";
  readonly hook: "forward" | "postrouting";
  readonly priority: number;
  /** Rules in nft syntax exactly as `nft list` prints them back. */
  readonly rules: readonly string[];
}

export type Noun = "link" | "addr" | "route" | "neigh" | "fdb" | "sysctl" | "rule" | "peer";

export const keyOf = {
  link: (o: Link): string => o.name,
  addr: (o: Addr): string => `${o.dev} ${o.address}`,
  route: (o: Route): string => `${o.dst} ${o.metric}`,
  neigh: (o: Neigh): string => `${o.dev} ${o.ip}`,
  // The kernel keeps one remote list per MAC; two entries of one MAC are two objects.
  fdb: (o: Fdb): string => `${o.dev} ${o.mac} ${o.dst}`,
  sysctl: (o: Sysctl): string => o.path,
  rule: (o: RuleTable): string => `${o.family} ${o.name}`,
  peer: (o: TunPeer): string => o.name,
} as const;

/** While it is being put together. */
export interface MutableKernelState {
  readonly links: Map<string, Link>;
  readonly addrs: Map<string, Addr>;
  readonly routes: Map<string, Route>;
  readonly neighs: Map<string, Neigh>;
  readonly fdb: Map<string, Fdb>;
  readonly sysctls: Map<string, Sysctl>;
  readonly rules: Map<string, RuleTable>;
  readonly peers: Map<string, TunPeer>;
}

export type KernelState = {
  readonly [Table in keyof MutableKernelState]: MutableKernelState[Table] extends Map<
    string,
    infer Value
  >
    ? ReadonlyMap<string, Value>
    : never;
};

export function emptyKernelState(): MutableKernelState {
  return {
    links: new Map(),
    addrs: new Map(),
    routes: new Map(),
    neighs: new Map(),
    fdb: new Map(),
    sysctls: new Map(),
    rules: new Map(),
    peers: new Map(),
  };
}
