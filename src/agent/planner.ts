// Whether this host may act, and on what plan. The gate of the whole agent: hands off while the log
// is damaged, not read to its end, or says that another instance has our name; nothing is removed
// before the log was read to its end in this process. A snapshot stands in for a log that does not
// answer at start, for adding only.

import type { Clock } from "../events/clock.ts";
import type { Snapshot } from "../events/snapshot.ts";
import { desired } from "../reconcilers/desired.ts";
import type { Wanted } from "../reconcilers/loop.ts";
import type { Plan } from "../reconcilers/plan.ts";
import { OFFLINE_START_MS } from "./problems.ts";
import type { Tail } from "./tail.ts";

export interface PlannerDeps {
  readonly tail: Tail;
  readonly clock: Clock;
  readonly node: string;
  readonly instance: string;
  /** What the tail began with. */
  readonly snapshot: Snapshot | null;
  /** True once the agent is on its way out. */
  readonly stopping: () => boolean;
}

export class Planner {
  readonly #deps: PlannerDeps;
  readonly #startedMs: number;
  #planned: { readonly changedSeq: number; readonly plan: Plan } | null = null;

  constructor(deps: PlannerDeps) {
    this.#deps = deps;
    this.#startedMs = deps.clock.nowMs();
  }

  /** What the kernel shall hold, or null for hands off. Computed once per change in the log. */
  plan(): Plan | null {
    const { tail, node } = this.#deps;
    const state = tail.state();
    if (!this.#mayAct() || state.config === null || !state.leases.has(node)) return null;
    if (this.#planned?.changedSeq !== state.changedSeq) {
      this.#planned = { changedSeq: state.changedSeq, plan: desired(state, node) };
    }
    return this.#planned.plan;
  }

  /** The plan computed last, whether or not it may be acted on now. */
  last(): Plan | null {
    return this.#planned?.plan ?? null;
  }

  wanted(): Wanted {
    return { plan: this.plan(), prune: this.#deps.tail.view().caughtUp };
  }

  /** The node of our name in the log is this very instance, or nobody yet. */
  ownsName(): boolean {
    const { instance } = this.#deps;
    const holder = this.#holder();
    return holder === null || holder === instance;
  }

  #holder(): string | null {
    const { tail, node } = this.#deps;
    return tail.state().nodes.get(node)?.instance ?? null;
  }

  /** For a log that is folded anew: its sequences mean other things. */
  forget(): void {
    this.#planned = null;
  }

  #mayAct(): boolean {
    const { tail, clock, stopping, snapshot } = this.#deps;
    const { caughtUp, damage, connected } = tail.view();
    if (stopping() || damage !== null) return false;
    if (caughtUp) return this.ownsName();
    const waitedMs = clock.nowMs() - this.#startedMs;
    if (snapshot === null || connected || waitedMs < OFFLINE_START_MS) return false;
    // After a reboot we are another instance than the one that has the name, and that wrote the
    // snapshot: nobody else had it when the log was last read here.
    return this.ownsName() || snapshot.writer === this.#holder();
  }
}
