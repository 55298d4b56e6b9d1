// What a host's kernel should hold at the moment shown, by the very code that the hosts run.

import { computed } from "@preact/signals";
import { stateFrom } from "../events/state-document.ts";
import { describePlan } from "../reconcilers/describe.ts";
import { desired } from "../reconcilers/desired.ts";
import type { PeerPlan, Plan } from "../reconcilers/plan.ts";
import { chosenHost, rows, state } from "./store.ts";

const folded = computed(() => (state.value === null ? null : stateFrom(state.value)));

/** The plan of the chosen host; null when there is none at this moment. */
export const plan = computed<Plan | null>(() => {
  const host = chosenHost.value;
  if (folded.value === null || host === null || !folded.value.nodes.has(host)) return null;
  return desired(folded.value, host);
});

export const commands = computed(() => (plan.value === null ? [] : describePlan(plan.value)));

export interface Link {
  readonly from: string;
  readonly to: string;
  readonly path: PeerPlan["path"];
  readonly error: string | null;
}

/** Links of every present host, one for each pair; worth it for small fabrics only. */
export const links = computed<readonly Link[]>(() => {
  const found = folded.value;
  if (found === null) return [];
  const pairs = new Map<string, Link>();
  for (const { name, health } of rows.value) {
    if (health === "left") continue;
    for (const { node, path, error } of desired(found, name).peers) {
      const pair = [name, node].sort().join(" ");
      const known = pairs.get(pair);
      // A pair is as bad as the worse of its two directions.
      if (known?.error == null) pairs.set(pair, { from: name, to: node, path, error });
    }
  }
  return [...pairs.values()];
});
