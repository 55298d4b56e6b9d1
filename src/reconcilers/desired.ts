// What one host's kernel shall hold, from the folded log alone: the same log gives the same plan on
// every machine, which is what makes plan, replay and time travel possible. A host that does not
// take part gets an empty plan with the reason; whether that may empty its kernel is decided
// elsewhere (the loop's prune gate).

import { onDemand } from "../events/fold-miss.ts";
import type { FabricConfig } from "../events/network-config.ts";
import type { FabricState, Lease, Node } from "../events/state.ts";
import { planAlloc } from "./desired-alloc.ts";
import { planHostGw } from "./desired-host-gw.ts";
import { draftOn, ownVxlan, planHost, scopeFor } from "./desired-own.ts";
import { planUdp } from "./desired-udp.ts";
import { vxlanPeer } from "./desired-vxlan.ts";
import { planFlood } from "./desired-vxlan-flood.ts";
import { withHeld } from "./desired-vxlan-miss.ts";
import { newDraft, type OwnPlan, scopesOf } from "./draft.ts";
import { PeerRows } from "./peer-rows.ts";
import type { Plan } from "./plan.ts";

/** With the entries that `node` holds on demand, if the state follows it. */
export function desired(state: Readonly<FabricState>, node: string): Plan {
  const plan = standing(state, node);
  if (onDemand(state.config) === null || state.held.node !== node) return plan;
  return withHeld(plan, state, state.held.subnets);
}

/** What a host shall hold whomever it talks to. `rows`: kept from the last plan, for the time. */
export function standing(
  state: Readonly<FabricState>,
  node: string,
  rows: PeerRows = new PeerRows(),
): Plan {
  const { config, fabric } = state;
  const self = state.nodes.get(node);
  const lease = state.leases.get(node);
  if (config !== null && self?.present && lease !== undefined) {
    return planOf(state, node, planMember(state, config, self, lease, rows));
  }
  const draft = newDraft();
  draft.problems.push(reasonForNothing(config, node, self));
  const scope = scopeFor(fabric, config, self, draft);
  return planOf(state, node, { draft, scope, device: null, subnetEnv: null });
}

function planMember(
  state: Readonly<FabricState>,
  config: FabricConfig,
  self: Node,
  lease: Lease,
  rows: PeerRows,
): OwnPlan {
  const { backend } = config;
  const host = { state, config, self, scopes: scopesOf(config, lease) };
  switch (backend.type) {
    case "vxlan": {
      const { flood } = backend;
      if (flood !== null) return planHost(host, (draft) => planFlood(draft, host, backend, flood));
      const own = ownVxlan(host, backend, lease.subnets);
      const peers = rows.of(state, self.node, own, vxlanPeer(host, own.draft, backend));
      return { ...own, draft: draftOn(own.draft, peers) };
    }
    case "udp":
      return planHost(host, (draft) => planUdp(draft, host, backend));
    case "host-gw":
      return planHost(host, (draft) => planHostGw(draft, host));
    case "alloc":
      return planHost(host, (draft) => planAlloc(draft, host));
  }
}

function reasonForNothing(
  config: FabricConfig | null,
  node: string,
  self: Node | undefined,
): string {
  if (config === null) return "the fabric has no configuration yet";
  return self?.present ? `${node} holds no lease` : `${node} is not a member of the fabric`;
}

function planOf(state: Readonly<FabricState>, node: string, own: OwnPlan): Plan {
  const { draft, scope, device, subnetEnv } = own;
  const { kernel, peers, servedBy, problems } = draft;
  const of = { fabric: state.fabric, node, seq: state.seq };
  return { ...of, kernel, scope, peers, servedBy, subnetEnv, device, problems };
}
