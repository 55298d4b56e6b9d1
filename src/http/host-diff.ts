// What one host has to do to get from one state of the fabric to another, as operations and as the
// commands that would do the same. Pure.

import type { FabricState } from "../events/state.ts";
import { describe } from "../reconcilers/describe.ts";
import { desired } from "../reconcilers/desired.ts";
import { diff as diffKernel } from "../reconcilers/diff.ts";

type State = Readonly<FabricState>;

export interface HostOp {
  readonly verb: "set" | "del";
  readonly noun: string;
  readonly key: string;
  readonly command: string;
}

/** What takes the host's wanted kernel state from one point to the other. */
export function hostDiff(from: State, to: State, node: string): readonly HostOp[] {
  const want = desired(to, node).kernel;
  const have = desired(from, node).kernel;
  const ops = diffKernel(want, have, { fabric: to.fabric, prune: true });
  return ops.map((op) => ({ verb: op.verb, noun: op.noun, key: op.key, command: describe(op) }));
}
