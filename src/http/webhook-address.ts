// Which addresses a delivery may go to. Whoever adds a webhook makes this server send requests, so
// nothing is reached by them that only this server can reach: neither its own networks nor those
// of the fabric. Pure.

import ipaddr from "ipaddr.js";
import { type Cidr, containsIp, hostPrefix, type Ip } from "../events/address.ts";
import type { FabricState } from "../events/state.ts";

export interface AddressPolicy {
  /** Allowed in spite of everything, also without TLS: --webhook-allow. */
  readonly allow: readonly Cidr[];
  /** Refused although public: the fabric's overlay and underlay. */
  readonly own: readonly Cidr[];
}

/** Global unicast, RFC 4291 section 2.4: what is outside is special, or not assigned. */
const GLOBAL_IPV6: Cidr = "2000::/3";

/** Why nothing may be sent to `text`, an address in any form, or null when it may. */
export function refusalOf(text: string, policy: AddressPolicy): string | null {
  const ip = canonical(text);
  if (ip === null) return `${text} is no address`;
  if (isAllowed(text, policy)) return null;
  const own = policy.own.find((cidr) => containsIp(cidr, ip));
  if (own !== undefined) return `${ip} is of this fabric (${own})`;
  const range = ipaddr.parse(ip).range();
  if (range !== "unicast") return `${ip} is ${WORDS[range] ?? `special (${range})`}`;
  if (ip.includes(":") && !containsIp(GLOBAL_IPV6, ip)) return `${ip} is not global`;
  return null;
}

export function isAllowed(text: string, { allow }: AddressPolicy): boolean {
  const ip = canonical(text);
  return ip !== null && allow.some((cidr) => containsIp(cidr, ip));
}

const WORDS: Readonly<Record<string, string>> = {
  carrierGradeNat: "shared (100.64.0.0/10)",
  linkLocal: "link-local",
  loopback: "loopback",
  multicast: "multicast",
  private: "private",
  uniqueLocal: "private",
  unspecified: "unspecified",
};

/** An IPv4 address in IPv6 clothes is that IPv4 address; a zone is of this host only. */
function canonical(text: string): Ip | null {
  if (!ipaddr.isValid(text)) return null;
  const parsed = ipaddr.process(text.replace(/%.*$/, ""));
  return parsed.toString();
}

/** Everything that carries or is carried by the fabric, as its log says. */
export function fabricNetworks(state: Readonly<FabricState>): readonly Cidr[] {
  const { config, nodes, peers } = state;
  const found = new Set<Cidr>();
  for (const pool of [config?.ipv4, config?.ipv6]) if (pool) found.add(pool.network);
  for (const { publicIp, publicIpv6, underlay } of nodes.values()) {
    for (const ip of [publicIp, publicIpv6, underlay.local, underlay.localv6]) {
      if (ip !== null) found.add(hostPrefix(ip));
    }
    for (const prefix of underlay.onlink) found.add(prefix);
  }
  for (const { subnet, publicIp } of peers.values()) found.add(subnet).add(hostPrefix(publicIp));
  return [...found];
}
