// What one host's kernel shall hold, from the folded log alone: the same log gives the same plan on
// every machine, which is what makes plan, replay and time travel possible. A host that does not
// take part gets an empty plan with the reason; whether that may empty its kernel is decided
// elsewhere (the loop's prune gate).

import { onDemand } from "../events/fold-miss.ts";
import type { FabricConfig } from "../events/network-config.ts";
import type { Backend } from "../events/network-config-backend.ts";
import type { FabricState, Node } from "../events/state.ts";
import { planAlloc } from "./desired-alloc.ts";
import { planHostGw } from "./desired-host-gw.ts";
import { planUdp } from "./desired-udp.ts";
import { planVxlan } from "./desired-vxlan.ts";
import { planFlood } from "./desired-vxlan-flood.ts";
import { withHeld } from "./desired-vxlan-miss.ts";
import { type BackendPlan, type Draft, type Host, newDraft, scopesOf } from "./draft.ts";
import type { Scope } from "./kernel.ts";
import { keyOf } from "./kernel-state.ts";
import { deviceName, TUN_NAME } from "./link.ts";
import type { Plan } from "./plan.ts";
import { ruleTable, tableName } from "./rule.ts";
import { subnetEnv } from "./subnet-env.ts";

/** With the entries that `node` holds on demand, if the state follows it. */
export function desired(state: Readonly<FabricState>, node: string): Plan {
  const plan = standing(state, node);
  if (onDemand(state.config) === null || state.held.node !== node) return plan;
  return withHeld(plan, state, state.held.subnets);
}

/** What a host shall hold whomever it talks to. */
export function standing(state: Readonly<FabricState>, node: string): Plan {
  const { config } = state;
  const self = state.nodes.get(node);
  const lease = state.leases.get(node);
  const draft = newDraft();
  if (config === null || !self?.present || lease === undefined) {
    draft.problems.push(reasonForNothing(config, node, self));
    return planOf(state, node, draft, null, null);
  }
  const host: Host = { state, config, self, lease, scopes: scopesOf(config, lease) };
  if (self.backend !== config.backend.type) {
    draft.problems.push(
      `this host announces backend ${self.backend}, the fabric uses ${config.backend.type}`,
    );
  }
  const backend = planBackend(draft, host);
  if (config.backend.type !== "alloc") addForwarding(draft, host);
  return planOf(state, node, draft, backend, subnetEnv(host.scopes, backend.mtu, self.ipMasq));
}

function reasonForNothing(
  config: FabricConfig | null,
  node: string,
  self: Node | undefined,
): string {
  if (config === null) return "the fabric has no configuration yet";
  return self?.present ? `${node} holds no lease` : `${node} is not a member of the fabric`;
}

function planBackend(draft: Draft, host: Host): BackendPlan {
  const { backend } = host.config;
  switch (backend.type) {
    case "vxlan":
      return backend.flood === null
        ? planVxlan(draft, host, backend)
        : planFlood(draft, host, backend, backend.flood);
    case "udp":
      return planUdp(draft, host, backend);
    case "host-gw":
      return planHostGw(draft, host);
    case "alloc":
      return planAlloc(draft, host);
  }
}

/** What turns a host with routes into a router for containers. */
function addForwarding(draft: Draft, { state, self, scopes }: Host): void {
  const { kernel } = draft;
  for (const { family } of scopes) {
    const path = family === "ipv4" ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding";
    kernel.sysctls.set(path, { path, value: "1" });
  }
  const table = ruleTable(state.fabric, scopes, self.ipMasq);
  kernel.rules.set(keyOf.rule(table), table);
}

function planOf(
  state: Readonly<FabricState>,
  node: string,
  draft: Draft,
  backend: BackendPlan | null,
  env: string | null,
): Plan {
  return {
    fabric: state.fabric,
    node,
    seq: state.seq,
    kernel: draft.kernel,
    scope: scopeFor(state, node, draft),
    peers: draft.peers,
    servedBy: draft.servedBy,
    subnetEnv: env,
    device: backend?.device ?? null,
    problems: draft.problems,
  };
}

function devicesOf(backend: Backend | undefined): readonly string[] {
  if (backend?.type === "udp") return [TUN_NAME];
  if (backend?.type !== "vxlan") return [];
  return [deviceName(backend.vni, "ipv4"), deviceName(backend.vni, "ipv6")];
}

/**
 * Where to look for what is wanted and for what is left over. Devices of an earlier configuration
 * have other names; the loop finds them by their mark.
 */
function scopeFor(state: Readonly<FabricState>, node: string, draft: Draft): Scope {
  const backend = state.config?.backend;
  const links = devicesOf(backend);
  const underlay = state.nodes.get(node)?.underlay.dev;
  return {
    links,
    routeDevs: underlay === undefined ? links : [underlay, ...links],
    sysctls: [...draft.kernel.sysctls.keys()],
    rules: [`inet ${tableName(state.fabric)}`],
  };
}
