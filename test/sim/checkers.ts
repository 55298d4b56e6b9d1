// What must hold of each change that an agent makes to its kernel, judged by what the log truly
// gave it and what the kernel truly showed it. One instance per host; it outlives the host's
// processes.

import { familyOf } from "../../src/events/address.ts";
import type { FabricState } from "../../src/events/state.ts";
import { standing } from "../../src/reconcilers/desired.ts";
import { answerFor } from "../../src/reconcilers/desired-vxlan-miss.ts";
import {
  emptyKernelState,
  type KernelState,
  type Neigh,
} from "../../src/reconcilers/kernel-state.ts";
import type { Op } from "../../src/reconcilers/op.ts";
import type { Plan } from "../../src/reconcilers/plan.ts";
import { tableOf } from "../support/apply-ops.ts";
import type { MissModel } from "../support/kernel-model-miss.ts";
import type { Foreign } from "./foreign.ts";
import { IDLE_MS, type Process } from "./process.ts";

export interface CheckerDeps {
  readonly node: string;
  readonly foreign: () => Foreign;
  readonly process: () => Process | null;
  readonly misses: () => MissModel;
  readonly fail: (rule: string, what: string) => void;
}

export class Checker {
  readonly #deps: CheckerDeps;
  #planned: { readonly chain: string; readonly plan: Plan } | null = null;

  constructor(deps: CheckerDeps) {
    this.#deps = deps;
  }

  before(ops: readonly Op[], found: KernelState | null): void {
    const { node, process, fail } = this.#deps;
    const running = process();
    const state = running?.agent?.state();
    if (running === null || state === undefined) {
      fail("changes come from rounds", `${node} changes its kernel before it started`);
      return;
    }
    const { lineage } = running;
    if (lineage.mustFreeze !== null) {
      fail("a frozen host changes nothing", `${node} (${lineage.mustFreeze}): ${words(ops)}`);
    }
    if (!state.leases.has(node)) {
      fail("no lease, no changes", `${node}: ${words(ops)}`);
    }
    const plan = this.#plan(state, lineage.chainAt(state.seq) ?? "");
    for (const op of ops) {
      if (op.verb === "del") this.#checkRemoval(op, plan, lineage.caughtUp);
      else this.#checkAddress(op, plan);
      if (op.verb === "del" && op.noun === "neigh") this.#checkIdle(op.object, plan, state);
      this.#checkFound(op, found);
    }
  }

  after(): void {
    const damage = this.#deps.foreign().damage();
    const { node, fail } = this.#deps;
    if (damage !== null) fail("what is not ours is not touched", `${node}: ${damage}`);
  }

  #checkRemoval(op: Op, plan: Plan, caughtUp: boolean): void {
    const { node, fail } = this.#deps;
    if (!caughtUp) fail("nothing is removed before the log is read", `${node}: ${words([op])}`);
    if (tableOf(plan.kernel, op.noun).has(op.key)) {
      fail("what the log wants is not removed", `${node}: ${words([op])}`);
    }
  }

  /** On demand, the neighbour of a peer goes only when nothing was sent to it for long. */
  #checkIdle({ dev, ip, mac }: Neigh, plan: Plan, state: Readonly<FabricState>): void {
    const { node, misses, fail } = this.#deps;
    const found = answerFor(state, node, dev, ip);
    const routed = [...plan.kernel.routes.values()].some((r) => r.dev === dev && r.via === ip);
    if (found === null || !routed || found.neigh.mac !== mac) return;
    const idleMs = misses().idleMs(dev, mac ?? "") ?? Number.POSITIVE_INFINITY;
    // Of a peer that lost its lease meanwhile it goes too, even if it has one again.
    const heldMs = state.timeMs - (state.leases.get(found.peer)?.claimedMs ?? 0);
    if (idleMs >= Math.min(IDLE_MS, heldMs)) return;
    fail("what is in use is not removed", `${node}: neigh ${dev} ${ip}, used ${idleMs} ms ago`);
  }

  /** After another lease was learned of, the address of the old one is never set. */
  #checkAddress(op: Op, plan: Plan): void {
    if (op.noun !== "addr" || plan.kernel.addrs.has(op.key)) return;
    // A configuration may have taken the family away; that address is nobody else's either.
    const { dev, address } = op.object;
    const others = [...plan.kernel.addrs.values()].filter(
      (addr) => addr.dev === dev && familyOf(addr.address) === familyOf(address),
    );
    if (others.length === 0) return;
    const { node, fail } = this.#deps;
    fail("an old lease's address is not set", `${node}: ${op.key}`);
  }

  /** An op names what this process last saw; one that does not was made without looking. */
  #checkFound(op: Op, found: KernelState | null): void {
    const seen = tableOf(found ?? emptyKernelState(), op.noun).get(op.key) ?? null;
    // Not by identity: what equals the plan is remembered in the plan's own objects.
    if (found !== null && Bun.deepEquals(seen, op.found)) return;
    const { node, fail } = this.#deps;
    fail("changes come from rounds", `${node}: ${words([op])} was not looked at`);
  }

  #plan(state: Readonly<FabricState>, chain: string): Plan {
    if (this.#planned?.chain !== chain) {
      this.#planned = { chain, plan: standing(state, this.#deps.node) };
    }
    return this.#planned.plan;
  }
}

export function words(ops: readonly Op[]): string {
  return ops.map(({ verb, noun, key }) => `${verb} ${noun} ${key}`).join(", ");
}
