// Checks of packet filters that others own. A drop in any table is final, so no table of ours can
// make up for these: they need a person.

import { containsIp } from "../events/address.ts";
import {
  type Check,
  type Findings,
  networksOf,
  ok,
  outputOf,
  subnetsOf,
  warn,
} from "./doctor-check.ts";

export async function filterChecks(findings: Findings): Promise<readonly Check[]> {
  const ruleset = await outputOf(["nft", "list", "ruleset"]);
  if (ruleset === null) {
    const advice = "run doctor as root, with nftables installed";
    return ["forward-policy", "docker-drop"].map((name) =>
      warn(name, "the packet filter cannot be read", advice),
    );
  }
  const legacy = (await outputOf(["iptables-legacy", "-S"])) ?? "";
  return [forwardPolicy(ruleset, legacy, findings), dockerDrops(ruleset, legacy, findings)];
}

/** Docker sets the policy to DROP when it turns forwarding on itself. */
export function forwardPolicy(ruleset: string, legacy: string, findings: Findings): Check {
  const name = "forward-policy";
  const networks = networksOf(findings);
  const dropping = tablesOf(ruleset).filter(({ body }) =>
    /hook forward [^;]*; policy drop;/.test(body),
  );
  const closed = dropping.filter(({ body }) => !networks.some((net) => accepts(body, net)));
  const found = closed.map((table) => table.name);
  const open = networks.some((net) =>
    new RegExp(`-A .*-[sd] ${escaped(net)} .*-j ACCEPT`).test(legacy),
  );
  if (/^-P FORWARD DROP$/m.test(legacy) && !open) found.push("iptables-legacy filter");
  if (found.length === 0) return ok(name, "nothing drops forwarded packets by policy");
  const network = networks[0] ?? "NETWORK";
  const advice = ["-s", "-d"].map((side) => `iptables -I FORWARD ${side} ${network} -j ACCEPT`);
  return warn(name, `forward policy is DROP in ${found.join(", ")}`, advice.join("; "));
}

function accepts(body: string, network: string): boolean {
  return new RegExp(`[sd]addr ${escaped(network)} .*accept`).test(body);
}

/** Docker 28 drops what reaches a container's address from anywhere but its bridge. */
export function dockerDrops(ruleset: string, legacy: string, findings: Findings): Check {
  const name = "docker-drop";
  const subnets = subnetsOf(findings);
  const device = findings.status?.backend?.device ?? "heddle.1";
  const dropped = [
    ...ruleset.matchAll(/ip daddr (\S+) iifname != "?([^\s"]+)"? .*drop/g),
    ...legacy.matchAll(/-A PREROUTING -d (\S+?)(?:\/32)? ! -i (\S+) -j DROP/g),
  ].map(([, address = "", bridge = ""]) => ({ address, bridge }));
  const hit = dropped.find(({ address }) => subnets.some((subnet) => isIn(subnet, address)));
  const bridgeDrop = /iifname != "?(\S+?)"? oifname "?\1"? .*drop/.exec(ruleset)?.[1];
  const bridge = hit?.bridge ?? bridgeDrop;
  if (bridge === undefined || opened(ruleset, device)) {
    return ok(name, "no rule of Docker's keeps other hosts from containers");
  }
  const advice =
    `iptables -t raw -I PREROUTING -i ${device} -j ACCEPT; ` +
    `iptables -I DOCKER-USER -i ${device} -o ${bridge} -j ACCEPT; or dockerd --iptables=false`;
  return warn(name, `Docker 28 or newer drops packets from other hosts to ${bridge}`, advice);
}

/** Both are needed: the raw table's and the filter's. */
function opened(ruleset: string, device: string): boolean {
  const inTable = (table: string): boolean =>
    tablesOf(ruleset).some(
      ({ name, body }) =>
        name === table && new RegExp(`iifname "?${escaped(device)}"? .*accept`).test(body),
    );
  return inTable("ip raw") && inTable("ip filter");
}

function isIn(subnet: string, address: string): boolean {
  return /^[0-9a-fA-F.:]+$/.test(address) && containsIp(subnet, address);
}

interface Table {
  readonly name: string;
  readonly body: string;
}

function tablesOf(ruleset: string): readonly Table[] {
  return [...ruleset.matchAll(/^table (\S+ \S+) \{\n([\s\S]*?)^\}/gm)].map(
    ([, name = "", body = ""]) => ({ name, body }),
  );
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
}
