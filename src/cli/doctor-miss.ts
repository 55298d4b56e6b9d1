// What `heddle doctor` says about entries on demand.

import { onDemand } from "../events/fold-miss.ts";
import { type Check, type Findings, fail, ok, warn } from "./doctor-check.ts";

/** More questions about nobody than this, and beyond those about peers, are a scan or a mistake. */
const STRANGE = 1000;

export function missCheck({ state, status }: Findings): Check {
  const name = "on-demand";
  const backend = onDemand(state?.config ?? null);
  if (backend === null) return ok(name, "not needed: entries are proactive");
  if (status === null) {
    const advice = "start the agent; with Mode proactive the kernel would need nobody";
    return fail(name, "no agent answers the kernel: peers not talked to yet are lost", advice);
  }
  const { misses } = status;
  if (misses === undefined) return warn(name, "the agent has not read the mode yet", "wait");
  const found = `${misses.held} entries held, ${misses.answered} misses answered`;
  if (misses.unknown < STRANGE || misses.unknown < misses.answered) return ok(name, found);
  const advice = "somebody scans the tunnel, or a route of others leads into it: heddle events";
  return warn(name, `${found}, ${misses.unknown} of nobody`, advice);
}
