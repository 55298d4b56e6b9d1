// Ops in words: as the command that does the same, and as an item of DriftHealed.

import type { DriftItem } from "../events/event.ts";
import { diff } from "./diff.ts";
import { emptyKernelState, type Noun } from "./kernel-state.ts";
import type { NounRules } from "./noun.ts";
import { nouns } from "./nouns.ts";
import type { NounTypes, Op } from "./op.ts";
import type { Plan } from "./plan.ts";

/** The longest text that an event accepts. */
const TEXT_MAX = 1024;

/** The equivalent ip, bridge, sysctl or nft command, runnable as it stands. */
export function describe(op: Op): string {
  return rulesFor(op.noun).command(op.verb, op.object, op.found);
}

/** Commands that build the whole plan on a bare host, in order. */
export function describePlan(plan: Plan): string[] {
  const options = { fabric: plan.fabric, prune: false };
  return diff(plan.kernel, emptyKernelState(), options).map(describe);
}

export function driftOf(op: Op): DriftItem {
  const { text } = rulesFor(op.noun);
  const found = op.found === null ? null : text(op.found).slice(0, TEXT_MAX);
  if (op.verb === "del") return { noun: op.noun, problem: "stray", found, wanted: null };
  const wanted = text(op.object).slice(0, TEXT_MAX);
  return { noun: op.noun, problem: found === null ? "missing" : "altered", found, wanted };
}

/** Op and rules are of one noun, which TypeScript cannot see through the union. */
function rulesFor(noun: Noun): NounRules<NounTypes[Noun]> {
  return nouns[noun] as NounRules<NounTypes[Noun]>;
}
