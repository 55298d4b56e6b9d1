// subnet.env, byte for byte as flannel writes it (pkg/subnet/subnet.go WriteSubnetFile): the
// contract with the CNI plugin, mk-docker-opts.sh and everybody's scripts.

import { type Cidr, fromNumber, prefixOf } from "../events/address.ts";
import type { RuleScope } from "./rule.ts";

const KEY = { ipv4: "FLANNEL_", ipv6: "FLANNEL_IPV6_" } as const;

/** `scopes` in the order IPv4, IPv6; an absent family has no keys. */
export function subnetEnv(scopes: readonly RuleScope[], mtu: number, ipMasq: boolean): string {
  const lines = scopes.flatMap(({ family, network, subnet }) => [
    `${KEY[family]}NETWORK=${network}`,
    `${KEY[family]}SUBNET=${firstUsable(subnet)}`,
  ]);
  lines.push(`FLANNEL_MTU=${mtu}`, `FLANNEL_IPMASQ=${ipMasq}`);
  return `${lines.join("\n")}\n`;
}

/** `10.5.52.0/24` becomes `10.5.52.1/24`: the address of the container bridge. */
function firstUsable(subnet: Cidr): string {
  const { family, base, length } = prefixOf(subnet);
  return `${fromNumber(family, base + 1n)}/${length}`;
}
