// Which peers' entries a host holds under Backend.Mode on-miss or hybrid, by its own word in the
// log. It decides nothing for others, and nothing for the host itself while that runs: its kernel
// knows better and first. It is what replay, and a host after a reboot, have to go by.

import type { Cidr } from "./address.ts";
import type { EventOf } from "./event.ts";
import type { FabricConfig } from "./network-config.ts";
import { isOnDemand, type VxlanBackend } from "./network-config-backend.ts";
import type { FabricState } from "./state.ts";
import { accepted, lost, type Verdict } from "./verdict.ts";

export function foldMiss(
  state: FabricState,
  event: EventOf<"NeighborMissed" | "NeighborAged">,
): Verdict {
  const { node } = event.data;
  if (!state.nodes.get(node)?.present) return lost(`${node} has not joined`);
  if (node !== state.held.node) return accepted;
  const { subnets } = state.held;
  if (event.type === "NeighborAged") {
    dropHeld(state, event.data.subnets);
    return accepted;
  }
  for (const { subnet } of event.data.answered) {
    if (!isOthers(state, subnet)) continue;
    // To the end: the order tells who was asked for last.
    subnets.delete(subnet);
    subnets.add(subnet);
  }
  return accepted;
}

/** Whether somebody else has this very subnet; keeps `held` as small as the fabric. */
function isOthers(state: FabricState, subnet: Cidr): boolean {
  const owner = state.owners.get(subnet);
  if (owner !== undefined) return owner !== state.held.node;
  for (const peer of state.peers.values()) if (peer.subnet === subnet) return true;
  return false;
}

export function dropHeld({ held }: FabricState, subnets: readonly Cidr[]): void {
  for (const subnet of subnets) held.subnets.delete(subnet);
}

/** The backend when hosts keep entries on demand only, or null. */
export function onDemand(config: FabricConfig | null): VxlanBackend | null {
  const backend = config?.backend;
  return backend?.type === "vxlan" && isOnDemand(backend) ? backend : null;
}

/**
 * A fabric that was proactive goes on with what every host had, and lets go of what is idle: so
 * that the switch loses no packet. One that becomes proactive again needs no such memory.
 */
export function switchHeld(state: FabricState, before: FabricConfig | null): void {
  const { held, config } = state;
  if (onDemand(config) === null) held.subnets.clear();
  if (onDemand(config) === null || held.node === null || onDemand(before) !== null) return;
  if (before?.backend.type !== "vxlan") return;
  for (const [subnet, node] of state.owners) if (node !== held.node) held.subnets.add(subnet);
  for (const { subnet } of state.peers.values()) held.subnets.add(subnet);
}
