// What operators and strangers write into the log: new configurations, reservations, revocations,
// foreign peers, and garbage.

import { subnetAt } from "../../src/events/pool.ts";
import type { FaultTable } from "./faults.ts";
import type { Prng } from "./prng.ts";
import { FABRIC } from "./process.ts";
import type { World } from "./world.ts";

const V4 = { Network: "10.5.0.0/16" };
const V6 = { EnableIPv6: true, IPv6Network: "fd00:5::/48" };

/** Configurations as people write them. */
export const CONFIGS: readonly Record<string, unknown>[] = [
  V4,
  { ...V4, Backend: { Type: "vxlan", VNI: 7 } },
  { ...V4, Backend: { Type: "vxlan", DirectRouting: true } },
  { ...V4, Backend: { Type: "vxlan", MTU: 1400 } },
  { ...V4, Backend: { Type: "host-gw" } },
  { ...V4, Backend: { Type: "alloc" } },
  { ...V4, ...V6 },
  { ...V4, ...V6, Backend: { Type: "host-gw" } },
  { ...V4, ...V6, Backend: { Type: "vxlan", VNI: 7, DirectRouting: true } },
  { ...V4, Backend: { Type: "vxlan", Mode: "multicast", Group: "239.1.1.1" } },
  { ...V4, ...V6, Backend: { Type: "vxlan", Mode: "head-end" } },
  { ...V4, Backend: { Type: "udp" } },
  { ...V4, ...V6, Backend: { Type: "udp", Port: 9000 } },
  { EnableIPv4: false, ...V6, Backend: { Type: "udp" } },
  { EnableIPv4: false, ...V6 },
  { Network: "10.9.0.0/24", SubnetLen: 27 },
  { Network: "10.9.0.0/24", SubnetLen: 26 },
  { Network: "10.5.128.0/17" },
];

export function configure(world: World, random: Prng): string {
  const document = random.oneOf(CONFIGS) ?? V4;
  world.command({ type: "Configure", document });
  return JSON.stringify(document);
}

/** A subnet of the pool that somebody holds, or any. */
function anySubnet(world: World, random: Prng, held: boolean): string | null {
  const { owners, config } = world.oracle.state;
  if (held) return random.oneOf([...owners.keys()]);
  const pool = config?.ipv4 ?? null;
  return pool === null ? null : subnetAt(pool, BigInt(random.int(0, 2)));
}

function garbage(world: World, random: Prng): string {
  const { state } = world.oracle;
  const node = `h${random.int(1, world.hosts.length)}`;
  const other = `h${random.int(1, world.hosts.length)}`;
  const lease = state.leases.get(other);
  const epoch = state.nodes.get(node)?.epoch ?? 0;
  const subnets = [...(lease?.subnets ?? ["10.5.1.0/24"])];
  const path = `heddle.${FABRIC}.node.${node}.lease`;
  const bytes = (text: string) => world.appendBytes(path, new TextEncoder().encode(text));
  const what = random.pick([
    "json",
    "type",
    "forged",
    "pool",
    "premature",
    "taken",
    "size",
    "left",
  ]);
  const data = { node, epoch: epoch + 1, subnets, ttlSeconds: world.ttlSeconds };
  if (what === "json") bytes("{not json");
  if (what === "type") bytes(`{"type":"Nonsense","v":1,"id":"x${random.int(1, 1e6)}","data":{}}`);
  if (what === "size") bytes(`{"x":"${"y".repeat(100_000)}"}`);
  if (what === "forged") {
    const claim = { type: "LeaseClaimed", v: 1, id: "forged", data: { ...data, node: "h99" } };
    bytes(JSON.stringify(claim));
  }
  if (what === "pool") {
    world.append({ type: "LeaseClaimed", data: { ...data, subnets: ["172.20.1.0/24"] } });
  }
  if (what === "taken") world.append({ type: "LeaseClaimed", data });
  if (what === "premature") {
    const expired = { node, owner: other, epoch: lease?.epoch ?? 1, subnets };
    world.append({ type: "LeaseExpired", data: expired });
  }
  // Not garbage to the fold: the node is said to have left, and must come back by itself.
  if (what === "left") world.append({ type: "NodeLeft", data: { node, reason: "evicted" } });
  return `${what} ${node}`;
}

export const operatorFaults: FaultTable = {
  config: configure,
  revoke(world, random) {
    const subnet = anySubnet(world, random, true);
    if (subnet === null) return null;
    world.command({ type: "Revoke", subnet, note: "" });
    return subnet;
  },
  reserve(world, random) {
    const subnet = anySubnet(world, random, random.chance(0.2));
    if (subnet === null) return null;
    const node = random.chance(0.5) ? `h${random.int(1, 6)}` : null;
    world.command({ type: "Reserve", subnet, node, note: "" });
    return `${subnet} for ${node ?? "nobody"}`;
  },
  unreserve(world, random) {
    const subnet = random.oneOf([...world.oracle.state.reservations.keys()]);
    if (subnet === null) return null;
    world.command({ type: "Revoke", subnet, note: "" });
    return subnet;
  },
  peerAdded(world, random) {
    const number = random.int(1, 3);
    const inPool = anySubnet(world, random, false);
    const subnet = (random.chance(0.4) ? inPool : null) ?? `172.30.${number}.0/24`;
    const vtepMac = random.chance(0.8) ? `02:bb:00:00:00:0${number}` : null;
    const publicIp = `198.18.0.${random.chance(0.9) ? 250 + number : 1}`;
    world.command({ type: "AddPeer", name: `p${number}`, subnet, publicIp, vtepMac });
    return `p${number} ${subnet}`;
  },
  peerRemoved(world, random) {
    const name = `p${random.int(1, 3)}`;
    world.command({ type: "RemovePeer", name });
    return name;
  },
  garbage,
};
