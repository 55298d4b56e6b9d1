// heddle plan: the kernel state that a host should have at any point of the log. Nothing is read
// from this host, so any machine that reaches the log answers for any host.

import { foldTo } from "../events/past.ts";
import { isoTime, type Point } from "../events/point.ts";
import type { FabricState } from "../events/state.ts";
import { planView } from "../http/views.ts";
import { describePlan } from "../reconcilers/describe.ts";
import { desired } from "../reconcilers/desired.ts";
import type { Plan } from "../reconcilers/plan.ts";
import { withLog } from "./connection.ts";
import type { Deps } from "./deps.ts";
import { EXIT_FAILED, EXIT_OK, Failure } from "./failure.ts";
import type { LogFlags, NodeFlag } from "./flags.ts";

interface PlanFlags extends LogFlags, NodeFlag {
  readonly at?: Point;
  readonly format?: "ip" | "json";
}

export async function plan(deps: Deps, flags: PlanFlags): Promise<number> {
  const node = flags.node ?? deps.hostName;
  const state = await stateAt(deps, flags, flags.at, node);
  const wanted = planFor(state, node);
  if (flags.format === "json") {
    deps.out.json({ ...planView(wanted), time: isoTime(state.timeMs) });
    return EXIT_OK;
  }
  for (const command of describePlan(wanted)) deps.out.line(command);
  noteProblems(deps, wanted);
  return EXIT_OK;
}

/** With the entries that `node` holds. */
export function stateAt(
  deps: Deps,
  flags: LogFlags,
  at: Point | undefined,
  node: string | null,
): Promise<FabricState> {
  const until = at === undefined ? null : { name: "--at", point: at };
  return withLog(deps, flags, ({ log }) => foldTo(log, flags.fabric, until, deps.wallMs(), node));
}

/** Throws Failure when the node was never seen up to there. */
export function planFor(state: Readonly<FabricState>, node: string): Plan {
  if (!state.nodes.has(node)) {
    throw new Failure(EXIT_FAILED, `node ${node} is not in the fabric at sequence ${state.seq}`);
  }
  return desired(state, node);
}

export function noteProblems(deps: Deps, wanted: Plan): void {
  for (const problem of wanted.problems) deps.out.note(`heddle: ${problem}`);
  for (const peer of wanted.peers) {
    if (peer.error !== null) deps.out.note(`heddle: peer ${peer.node}: ${peer.error}`);
  }
}
