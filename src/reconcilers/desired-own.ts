// The part of a host's plan that no other host has a say in: its devices, its switches, its packet
// filter, subnet.env. Most events are about others: for a vxlan host this part is kept.

import type { Cidr } from "../events/address.ts";
import type { FabricConfig } from "../events/network-config.ts";
import type { Backend, VxlanBackend } from "../events/network-config-backend.ts";
import type { Node } from "../events/state.ts";
import { planOwnVxlan } from "./desired-vxlan.ts";
import { type BackendPlan, type Draft, newDraft, type OwnHost, type OwnPlan } from "./draft.ts";
import type { Scope } from "./kernel.ts";
import { emptyKernelState, keyOf } from "./kernel-state.ts";
import { deviceName, TUN_NAME } from "./link.ts";
import type { PeerPart } from "./peer-rows.ts";
import type { PeerPlan } from "./plan.ts";
import { ruleTable, tableName } from "./rule.ts";
import { ServedBy } from "./served-by.ts";
import { subnetEnv } from "./subnet-env.ts";

/** `backend` fills the draft; the rest is the same for all of them. */
export function planHost(host: OwnHost, backend: (draft: Draft) => BackendPlan): OwnPlan {
  const { state, config, self, scopes } = host;
  const { type } = config.backend;
  const draft = newDraft();
  if (self.backend !== type) {
    draft.problems.push(`this host announces backend ${self.backend}, the fabric uses ${type}`);
  }
  const { mtu, device } = backend(draft);
  if (type !== "alloc") addForwarding(draft, host);
  const scope = scopeFor(state.fabric, config, self, draft);
  return { draft, scope, device, subnetEnv: subnetEnv(scopes, mtu, self.ipMasq) };
}

/** What turns a host with routes into a router for containers. */
function addForwarding(draft: Draft, { state, self, scopes }: OwnHost): void {
  const { kernel } = draft;
  for (const { family } of scopes) {
    const path = family === "ipv4" ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding";
    kernel.sysctls.set(path, { path, value: "1" });
  }
  const table = ruleTable(state.fabric, scopes, self.ipMasq);
  kernel.rules.set(keyOf.rule(table), table);
}

/** By what each host announced, which is a new object when that changes. */
const kept = new WeakMap<
  Node["underlay"],
  { readonly inputs: readonly unknown[]; readonly own: OwnPlan }
>();

/**
 * A vxlan host without its peers. Kept while all that it is made of is the very same: that is more
 * than half of the plan of a small fabric.
 */
export function ownVxlan(host: OwnHost, vxlan: VxlanBackend, subnets: readonly Cidr[]): OwnPlan {
  const { state, config, scopes } = host;
  const { underlay, vtepMac, vtepMacV6, backend, ipMasq } = host.self;
  const inputs = [state.fabric, config, subnets, vtepMac, vtepMacV6, backend, ipMasq];
  const known = kept.get(underlay);
  if (known?.inputs.every((input, i) => input === inputs[i])) return known.own;
  // Nothing else of the host can get into it.
  const self = { underlay, vtepMac, vtepMacV6, backend, ipMasq };
  const alone = { state: { fabric: state.fabric }, config, self, scopes };
  const own = planHost(alone, (draft) => planOwnVxlan(draft, alone, vxlan));
  kept.set(underlay, { inputs, own });
  return own;
}

/** `own` and what is held for peers. Tables that these have no part in stay the very same. */
export function draftOn({ kernel, problems }: Draft, parts: readonly PeerPart[]): Draft {
  const { neighs, fdb } = emptyKernelState();
  const routes = new Map(kernel.routes);
  const peers: PeerPlan[] = [];
  for (const { plan, objects } of parts) {
    peers.push(plan);
    for (const { noun, key, object } of objects) {
      if (noun === "route") routes.set(key, object);
      else if (noun === "neigh") neighs.set(key, object);
      else fdb.set(key, object);
    }
  }
  const servedBy = new ServedBy(parts);
  return { kernel: { ...kernel, routes, neighs, fdb }, peers, servedBy, problems };
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
export function scopeFor(
  fabric: string,
  config: FabricConfig | null,
  self: OwnHost["self"] | undefined,
  draft: Draft,
): Scope {
  const links = devicesOf(config?.backend);
  const underlay = self?.underlay.dev;
  return {
    links,
    routeDevs: underlay === undefined ? links : [underlay, ...links],
    sysctls: [...draft.kernel.sysctls.keys()],
    rules: [`inet ${tableName(fabric)}`],
  };
}
