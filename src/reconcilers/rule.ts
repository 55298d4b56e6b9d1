// The packet filter: one nftables table per fabric, replaced as a whole. Rules are texts exactly as
// `nft -s list table` prints them (checked with nft 1.0.6), so that comparing them is comparing
// strings. They follow flannel's iptables rules (pkg/trafficmngr/iptables/iptables.go), not its
// nftables ones, whose fourth rule keeps traffic from the host to remote containers unmasqueraded.

import type { Cidr, Family } from "../events/address.ts";
import type { RuleChain, RuleTable } from "./kernel-state.ts";
import type { NounRules } from "./noun.ts";

/** One address family of the fabric: everything it spans, and what this host leases of it. */
export interface RuleScope {
  readonly family: Family;
  readonly network: Cidr;
  readonly subnet: Cidr;
}

const SRCNAT = 100;
/** kube-proxy marks so what it will masquerade itself. */
const MARKED = "meta mark & 0x00004000 == 0x00004000 return";
const MULTICAST = { ipv4: "224.0.0.0/4", ipv6: "ff00::/8" } as const;

export function tableName(fabric: string): string {
  return `heddle_${fabric.replaceAll("-", "_")}`;
}

export function ruleTable(
  fabric: string,
  scopes: readonly RuleScope[],
  masquerade: boolean,
): RuleTable {
  const chains: RuleChain[] = [
    {
      name: "forward",
      type: "filter",
      hook: "forward",
      priority: 0,
      rules: scopes.flatMap(forwardRules),
    },
  ];
  if (masquerade) {
    chains.push({
      name: "postrouting",
      type: "nat",
      hook: "postrouting",
      priority: SRCNAT,
      rules: [MARKED, ...scopes.flatMap(masqueradeRules)],
    });
  }
  return { family: "inet", name: tableName(fabric), chains };
}

function forwardRules({ family, network }: RuleScope): string[] {
  const ip = family === "ipv4" ? "ip" : "ip6";
  return [`${ip} saddr ${network} accept`, `${ip} daddr ${network} accept`];
}

function masqueradeRules({ family, network, subnet }: RuleScope): string[] {
  const ip = family === "ipv4" ? "ip" : "ip6";
  return [
    `${ip} saddr ${subnet} ${ip} daddr ${network} return`,
    `${ip} saddr ${network} ${ip} daddr ${subnet} return`,
    `${ip} saddr != ${network} ${ip} daddr ${subnet} return`,
    `${ip} saddr ${network} ${ip} daddr != ${MULTICAST[family]} masquerade fully-random`,
    `${ip} saddr != ${network} ${ip} daddr ${network} masquerade fully-random`,
  ];
}

export const rule: NounRules<RuleTable> = {
  same: (want, have) =>
    want.chains.length === have.chains.length &&
    want.chains.every((chain, i) => sameChain(chain, have.chains[i])),
  // Only tables of our own name are ever read.
  owned: (object, by) => object.family === "inet" && object.name === tableName(by.fabric),
  command(verb, { family, name, chains }) {
    const table = `${family} ${name}`;
    // Adding before deleting makes the deletion work whether or not the table is there.
    const empty = `add table ${table}; delete table ${table}`;
    if (verb === "del") return `nft '${empty}'`;
    return `nft '${empty}; table ${table} { ${chains.map(chainText).join(" ")} }'`;
  },
  text(object) {
    const count = object.chains.reduce((sum, chain) => sum + chain.rules.length, 0);
    const names = object.chains.map((chain) => chain.name).join(", ");
    return `table ${object.family} ${object.name}: ${count} rules in ${names || "no chain"}`;
  },
};

function sameChain(a: RuleChain, b: RuleChain | undefined): boolean {
  return (
    b !== undefined &&
    a.name === b.name &&
    a.type === b.type &&
    a.hook === b.hook &&
    a.priority === b.priority &&
    a.rules.length === b.rules.length &&
    a.rules.every((text, i) => text === b.rules[i])
  );
}

function chainText({ name, type, hook, priority, rules }: RuleChain): string {
  const head = `type ${type} hook ${hook} priority ${priority}; policy accept;`;
  // On one line nft wants a semicolon after the block too.
  return `chain ${name} { ${head} ${rules.map((text) => `${text};`).join(" ")} };`;
}
