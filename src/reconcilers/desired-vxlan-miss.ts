// vxlan with entries on demand (Backend.Mode on-miss and hybrid). Every peer keeps its route, so
// that the kernel knows whom to ask for and asks for each peer once; its neighbour and forwarding
// entry are wanted only while the host holds them. What no peer owns is unreachable, which costs
// neither an entry nor a question. The answer to a question needs nothing but the folded log.

import {
  type Cidr,
  type Family,
  familyOf,
  type Ip,
  type Mac,
  networkAddress,
} from "../events/address.ts";
import { onDemand } from "../events/fold-miss.ts";
import { isOnDemand, type VxlanBackend } from "../events/network-config-backend.ts";
import type { FabricState } from "../events/state.ts";
import { addRoute, type Draft, routeTo } from "./draft.ts";
import { type Fdb, keyOf, type Neigh, PROTOCOL } from "./kernel-state.ts";
import { deviceName } from "./link.ts";
import { peerOf } from "./peer.ts";
import type { Plan } from "./plan.ts";
import type { RuleScope } from "./rule.ts";

/** What the kernel needs to send to a peer through the tunnel. */
export interface Entries {
  readonly neigh: Neigh;
  readonly fdb: Fdb;
}

export interface PeerEntries extends Entries {
  readonly subnet: Cidr;
  /** Node name, or `peer:<name>`. */
  readonly peer: string;
}

/** Behind every other route to the network, an administrator's included. */
const METRIC_LAST = 0xffff_ffff;

/**
 * How often the kernel asks the agent for a neighbour, once a second, before it gives the packets
 * up: an agent that restarts meanwhile still answers. By itself it would ask in the tunnel, where
 * nobody listens. The second value is the kernel's default (neigh_default_table in
 * net/core/neighbour.c), for a device that is proactive again.
 */
const SOLICIT = { app_solicit: ["3", "0"], mcast_solicit: ["0", "3"] } as const;

export function entriesOf(dev: string, subnet: Cidr, mac: Mac, dst: Ip): Entries {
  const ip = networkAddress(subnet);
  return {
    neigh: { dev, ip, mac, permanent: true, protocol: PROTOCOL },
    fdb: { dev, mac, dst, permanent: true, extra: null },
  };
}

export function addSolicit(
  { kernel }: Draft,
  dev: string,
  family: Family,
  backend: VxlanBackend,
): void {
  for (const [name, [asked, usual]] of Object.entries(SOLICIT)) {
    const path = `net/${family}/neigh/${dev}/${name}`;
    kernel.sysctls.set(path, { path, value: isOnDemand(backend) ? asked : usual });
  }
}

/** ICMP unreachable at once for what nobody owns. */
export function addOnDemand(draft: Draft, { network }: RuleScope): void {
  const route = { ...routeTo(network, null, "", false), metric: METRIC_LAST };
  addRoute(draft, { ...route, unreachable: true }, null);
}

/** What `node` shall hold so that its kernel can send to `ip`, a gateway, or null: nobody's. */
export function answerFor(
  state: Readonly<FabricState>,
  node: string,
  dev: string,
  ip: Ip,
): PeerEntries | null {
  const subnet = subnetAt(state, ip);
  const found = subnet === null ? null : entriesFor(state, node, subnet);
  return found?.neigh.dev === dev && found.neigh.ip === ip ? found : null;
}

/**
 * Calls back with every subnet whose gateway `answerFor` answers for, and how `node` sends to it.
 * For a pass over all peers after each change: it makes no objects.
 */
export function eachAnswer(
  state: Readonly<FabricState>,
  node: string,
  tell: (subnet: Cidr, mac: Mac, dst: Ip) => void,
): void {
  const { config, owners, nodes, peers } = state;
  const backend = onDemand(config);
  if (backend === null) return;
  for (const [subnet, owner] of owners) {
    const peer = nodes.get(owner);
    if (owner === node || !peer?.present || peer.backend !== backend.type) continue;
    const six = subnet.includes(":");
    const [mac, dst] = six ? [peer.vtepMacV6, peer.publicIpv6] : [peer.vtepMac, peer.publicIp];
    if (mac !== null && dst !== null) tell(subnet, mac, dst);
  }
  for (const { subnet, publicIp, vtepMac } of peers.values()) {
    const sameFamily = subnet.includes(":") === publicIp.includes(":");
    if (vtepMac !== null && sameFamily) tell(subnet, vtepMac, publicIp);
  }
}

/** Node name, or `peer:<name>`, of who but `node` holds this very subnet, or null. */
export function holderOf(state: Readonly<FabricState>, node: string, subnet: Cidr): string | null {
  return peerOf(state, node, subnet)?.name ?? null;
}

/** The subnet whose network address is `ip`, if somebody has it. */
function subnetAt({ config, owners, peers }: Readonly<FabricState>, ip: Ip): Cidr | null {
  const pool = config?.[familyOf(ip)] ?? null;
  if (pool !== null) {
    const subnet = `${ip}/${pool.subnetLen}`;
    if (owners.has(subnet)) return subnet;
  }
  for (const { subnet } of peers.values()) if (networkAddress(subnet) === ip) return subnet;
  return null;
}

function entriesFor(state: Readonly<FabricState>, node: string, subnet: Cidr): PeerEntries | null {
  const backend = onDemand(state.config);
  const peer = backend === null ? null : peerOf(state, node, subnet);
  if (backend === null || peer === null) return null;
  if (peer.backend !== null && peer.backend !== backend.type) return null;
  const family = familyOf(subnet);
  const [mac, dst] = [peer.vtepMac[family], peer.publicIp[family]];
  if (mac === null || dst === null) return null;
  const entries = entriesOf(deviceName(backend.vni, family), subnet, mac, dst);
  return { ...entries, subnet, peer: peer.name };
}

/**
 * `plan` with the entries of `held`, in a time that depends on these alone. A peer that the plan
 * does not send to through the tunnel (direct routing) gets none.
 */
export function withHeld(plan: Plan, state: Readonly<FabricState>, held: Iterable<Cidr>): Plan {
  const neighs = new Map(plan.kernel.neighs);
  const fdb = new Map(plan.kernel.fdb);
  const served = new Map<string, string>();
  for (const subnet of held) {
    const found = entriesFor(state, plan.node, subnet);
    if (found === null || !isTunnelled(plan, found)) continue;
    const [neighKey, fdbKey] = [keyOf.neigh(found.neigh), keyOf.fdb(found.fdb)];
    neighs.set(neighKey, found.neigh);
    fdb.set(fdbKey, found.fdb);
    served.set(`neigh ${neighKey}`, found.peer).set(`fdb ${fdbKey}`, found.peer);
  }
  const { servedBy } = plan;
  return {
    ...plan,
    kernel: { ...plan.kernel, neighs, fdb },
    servedBy: {
      get: (id) => served.get(id) ?? servedBy.get(id),
      size: servedBy.size + served.size,
    },
  };
}

function isTunnelled({ kernel }: Plan, { subnet, neigh }: PeerEntries): boolean {
  const wanted = routeTo(subnet, neigh.ip, neigh.dev, true);
  const route = kernel.routes.get(keyOf.route(wanted));
  return route?.via === neigh.ip && route.dev === neigh.dev;
}
