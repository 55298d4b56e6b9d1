// How far the agent has come: what the last round of the loop left, up to which sequence the kernel
// is known to be right, whether the host was ready yet, and what its parts complain about. The
// surfaces show it; it decides nothing.

import type { Clock } from "../events/clock.ts";
import type { Round } from "../reconcilers/loop.ts";
import { type Found, foundOf, type Healed } from "./found.ts";
import type { Logger } from "./logger.ts";
import type { Identity } from "./member.ts";
import type { OnDemand } from "./on-demand.ts";
import type { Planner } from "./planner.ts";
import { problemsOf } from "./problems.ts";
import type { Health } from "./status.ts";
import { isReady, type Parts, phaseOf } from "./status-view.ts";
import type { Tail } from "./tail.ts";

export interface ProgressDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly identity: Identity;
  readonly tail: Tail;
  readonly planner: Planner;
  readonly onDemand: () => Pick<OnDemand, "problem">;
  readonly fileInPlace: () => boolean;
  readonly stopping: () => boolean;
  /** Objects put right since the process started. */
  readonly healed: () => number;
  readonly onApplied?: ((seq: number) => void) | undefined;
}

export class Progress {
  readonly #deps: ProgressDeps;
  readonly #startedMs: number;
  #round: Round | null = null;
  #healed: Healed | null = null;
  #appliedSeq = 0;
  #wasReady = false;
  /** Clock time since which the log has not answered; null while it does. */
  #lostSinceMs: number | null = null;
  #keepProblem: string | null = null;
  #fileProblem: string | null = null;

  constructor(deps: ProgressDeps) {
    this.#deps = deps;
    this.#startedMs = deps.clock.nowMs();
  }

  noteRound(round: Round): void {
    this.#round = round;
    if (round.driftCount > 0) this.#noteHealed(round);
    this.noteApplied();
    this.#noteReady();
  }

  /** The kernel is right for the current plan, and no record since changed the plan. */
  noteApplied(): void {
    const { tail, planner } = this.#deps;
    if (this.#round?.clean !== true || this.#round.seq !== planner.last()?.seq) return;
    this.#appliedSeq = tail.state().seq;
    this.#deps.onApplied?.(this.#appliedSeq);
  }

  noteConnection(connected: boolean): void {
    this.#lostSinceMs = connected ? null : (this.#lostSinceMs ?? this.#deps.clock.nowMs());
  }

  noteKeep(problem: string | null): void {
    this.#keepProblem = problem;
  }

  noteFile(problem: string | null): void {
    this.#fileProblem = problem;
    this.#noteReady();
  }

  /** For a log that is folded anew: what was applied means nothing to it. */
  forget(): void {
    this.#round = null;
    this.#appliedSeq = 0;
  }

  /** Sequence of the plan that the last round was about. */
  roundSeq(): number | undefined {
    return this.#round?.seq;
  }

  isReady(): boolean {
    return isReady(this.parts());
  }

  wasReady(): boolean {
    return this.#wasReady;
  }

  problems(): readonly string[] {
    const { tail, planner, clock, onDemand } = this.#deps;
    const since = this.#lostSinceMs;
    return problemsOf({
      tail: tail.view(),
      lostMs: since === null ? 0 : clock.nowMs() - since,
      plan: planner.plan(),
      round: this.#round,
      keep: this.#keepProblem,
      file: this.#fileProblem,
      misses: onDemand().problem(),
    });
  }

  parts(): Parts {
    const { identity, tail, planner, fileInPlace, stopping, healed } = this.#deps;
    const { node, instance, version } = identity;
    return {
      node,
      instance,
      version,
      tail: tail.view(),
      state: tail.state(),
      plan: planner.plan(),
      round: this.#round,
      appliedSeq: this.#appliedSeq,
      fileInPlace: fileInPlace(),
      problems: this.problems(),
      stopping: stopping(),
      wasReady: this.#wasReady,
      healed: healed(),
    };
  }

  health(): Health {
    const parts = this.parts();
    return { state: phaseOf(parts), problems: parts.problems };
  }

  found(): Found {
    return foundOf(this.parts(), this.#healed);
  }

  #noteHealed({ drift, driftCount }: Round): void {
    const nowMs = this.#deps.tail.logNowMs();
    const time = nowMs === 0 ? null : new Date(nowMs).toISOString();
    this.#healed = { time, count: driftCount, items: drift };
  }

  #noteReady(): void {
    const { tail, clock, logger } = this.#deps;
    if (this.#wasReady || !isReady(this.parts())) return;
    this.#wasReady = true;
    const ms = Math.round(clock.nowMs() - this.#startedMs);
    logger.info("ready", { seq: tail.view().seq, ms });
  }
}
