// The nouns by name, and the order in which they depend on each other.

import { addr } from "./addr.ts";
import { fdb } from "./fdb.ts";
import type { KernelState, Noun } from "./kernel-state.ts";
import { link } from "./link.ts";
import { neigh } from "./neigh.ts";
import type { NounRules } from "./noun.ts";
import type { NounTypes } from "./op.ts";
import { route } from "./route.ts";
import { rule } from "./rule.ts";
import { sysctl } from "./sysctl.ts";
import { peer } from "./tun-peer.ts";

export const nouns: { readonly [N in Noun]: NounRules<NounTypes[N]> } = {
  link,
  addr,
  route,
  neigh,
  fdb,
  sysctl,
  rule,
  peer,
};

/** Which map of KernelState holds a noun. */
export const mapOf = {
  link: "links",
  addr: "addrs",
  route: "routes",
  neigh: "neighs",
  fdb: "fdb",
  sysctl: "sysctls",
  rule: "rules",
  peer: "peers",
} as const satisfies { readonly [N in Noun]: keyof KernelState };

/** A noun needs those before it: a route its neighbour, a neighbour the way to its MAC. */
export const upwards = [
  "link",
  "addr",
  "sysctl",
  "peer",
  "fdb",
  "neigh",
  "route",
  "rule",
] as const satisfies readonly Noun[];
export const downwards = ["route", "neigh", "fdb", "peer", "addr", "link", "rule"] as const;
