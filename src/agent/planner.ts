// Whether this host may act, and on what plan. The gate of the whole agent: hands off while the log
// is damaged, not read to its end, or says that another instance has our name; nothing is removed
// before the log was read to its end in this process. A snapshot stands in for a log that does not
// answer at start, for adding only.

import type { Clock } from "../events/clock.ts";
import { onDemand } from "../events/fold-miss.ts";
import type { Snapshot } from "../events/snapshot.ts";
import { standing } from "../reconcilers/desired.ts";
import { withHeld } from "../reconcilers/desired-vxlan-miss.ts";
import type { Wanted } from "../reconcilers/loop.ts";
import { PeerRows } from "../reconcilers/peer-rows.ts";
import type { Plan } from "../reconcilers/plan.ts";
import type { OnDemand } from "./on-demand.ts";
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
  readonly onDemand: () => Pick<OnDemand, "held" | "isSettled" | "follow" | "serve">;
}

interface Planned {
  readonly changedSeq: number;
  /** Without what is held on demand. */
  readonly standing: Plan;
  readonly heldVersion: number;
  readonly plan: Plan;
}

export class Planner {
  readonly #deps: PlannerDeps;
  readonly #startedMs: number;
  #planned: Planned | null = null;
  readonly #rows = new PeerRows();

  constructor(deps: PlannerDeps) {
    this.#deps = deps;
    this.#startedMs = deps.clock.nowMs();
  }

  /**
   * What the kernel shall hold, or null for hands off. Computed once per change in the log; what is
   * held on demand is added in a time that depends on that alone.
   */
  plan(): Plan | null {
    const { tail, node } = this.#deps;
    const state = tail.state();
    const onMiss = this.#deps.onDemand();
    if (!this.#mayAct() || state.config === null || !state.leases.has(node)) {
      onMiss.serve();
      return null;
    }
    const { changedSeq } = state;
    onMiss.follow();
    const heldVersion = onMiss.held.version;
    const before = this.#planned?.changedSeq === changedSeq ? this.#planned : null;
    if (before?.heldVersion === heldVersion) return before.plan;
    const base = before?.standing ?? standing(state, node, this.#rows);
    const held = onDemand(state.config) === null ? null : onMiss.held.subnets();
    const plan = held === null ? base : withHeld(base, state, held);
    this.#planned = { changedSeq, standing: base, heldVersion, plan };
    return plan;
  }

  /** True while `last` is what the log wants now. */
  isCurrent(): boolean {
    return this.#planned?.changedSeq === this.#deps.tail.state().changedSeq;
  }

  /** Whether a new plan may wait for the round that needs it, because nobody else asks for one. */
  canWait(): boolean {
    const { tail, node } = this.#deps;
    const { config, leases } = tail.state();
    if (this.isCurrent() || config === null || onDemand(config) !== null) return false;
    return this.#mayAct() && leases.has(node);
  }

  /** The plan computed last, whether or not it may be acted on now. */
  last(): Plan | null {
    return this.#planned?.plan ?? null;
  }

  wanted(): Wanted {
    const plan = this.plan();
    return { plan, prune: this.#deps.tail.view().caughtUp && this.#deps.onDemand().isSettled };
  }

  /**
   * Whether the kernel may be told the way to a peer. Also while frozen: a host that keeps its
   * hands off keeps forwarding, and a proactive one would have the entry.
   */
  mayAnswer(): boolean {
    const { tail, node, stopping } = this.#deps;
    if (stopping() || this.#planned === null || !this.ownsName()) return false;
    return tail.state().leases.has(node);
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
