// When a round runs: at once after a wake-up, one at a time, wake-ups coalescing; again when a
// retry is due; and every so often although nothing was heard. It is level-triggered: who woke it
// and why is never asked, so a lost notification costs time and nothing else.

import type { Clock } from "../events/clock.ts";
import { delayMs } from "./backoff.ts";
import type { Kernel, Scope, Watch } from "./kernel.ts";
import { aliasOf } from "./link.ts";
import type { Plan } from "./plan.ts";
import {
  failuresOf,
  type Memory,
  newMemory,
  type Round,
  type RoundContext,
  runRound,
  type Wanted,
} from "./round.ts";

export type { Round, Wanted } from "./round.ts";

/** The safety net below the kernel's notifications. */
const PERIOD_MS = 60_000;
/**
 * A device that goes takes thousands of objects with it, each with a notification of its own, and
 * one arrives per turn of the event loop. A notification therefore waits after a round as long as
 * the round took, up to this: time to drain them all instead of looking again for each.
 */
const REST_MS_MAX = 50;
/**
 * When the log moved on during a round, more is likely to come: the next round waits as long as
 * this one took, up to this. Of fifty hosts that start together each comes to fewer rounds; 500 ms
 * gave no more. A change after quiet, and the first of many, wait for nothing.
 */
const GATHER_MS_MAX = 100;

export interface LoopOptions {
  readonly kernel: Kernel;
  readonly clock: Clock;
  /** Called several times in a round: must be cheap. */
  readonly wanted: () => Wanted;
  readonly onRound: (round: Round) => void;
  readonly periodMs?: number;
}

export interface Loop {
  wake(): void;
  /** A round runs, or another is waited for: it asks for the plan itself, when it begins. */
  busy(): boolean;
  /** The kernel was changed by us outside of a round: the next one looks before it acts. */
  stale(): void;
  /** Resolves when no round runs and none is asked for; retries and the slow pass do not count. */
  idle(): Promise<void>;
  /** Ends after the round that runs. Leaves the kernel as it is. */
  stop(): Promise<void>;
}

export function createLoop(options: LoopOptions): Loop {
  return new ReconcileLoop(options);
}

class ReconcileLoop implements Loop {
  readonly #options: LoopOptions;
  readonly #context: RoundContext;
  /** Devices that carry our mark, whatever configuration they were made for. */
  #marked: readonly string[] = [];
  /** When and for which plan `#marked` was last looked up. */
  #surveyed: { readonly atMs: number; readonly links: string } | null = null;
  #watch: Watch | null = null;
  #cancelTimer: (() => void) | null = null;
  #endTurn: (() => void) | null = null;
  /** Counts what may have changed the kernel without us: notifications, and time. */
  #stamp = 0;
  /** Rounds in a row that could not be finished; the next one waits the longer. */
  #unfinished = 0;
  #retryAtMs: number | null = null;
  /** Until when a notification waits; a wake-up does not. */
  #restUntilMs = Number.NEGATIVE_INFINITY;
  #stirred = false;
  #asked = false;
  #running = false;
  #stopped = false;
  #waiters: (() => void)[] = [];

  constructor(options: LoopOptions) {
    this.#options = options;
    const { kernel, clock, wanted } = options;
    const live = { stamp: () => this.#stamp, pause: () => this.#turn() };
    this.#context = { kernel, clock, wanted, memory: newMemory(), ...live };
  }

  wake(): void {
    if (this.#stopped) return;
    this.#asked = true;
    if (this.#running) return;
    this.#running = true;
    // In a microtask: at once, yet after everything that the caller has to say in this turn.
    queueMicrotask(() => void this.#run());
  }

  busy(): boolean {
    return this.#running;
  }

  stale(): void {
    this.#stamp++;
  }

  /** The kernel changed: at once after quiet, else when the rest is over. */
  #stir(): void {
    this.#stamp++;
    if (this.#stopped || this.#stirred) return;
    if (!this.#running && this.#options.clock.nowMs() >= this.#restUntilMs) {
      this.wake();
      return;
    }
    this.#stirred = true;
    if (!this.#running) this.#setTimer();
  }

  idle(): Promise<void> {
    if (!this.#running && !this.#stirred) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stirred = false;
    this.#cancelTimer?.();
    if (!this.#running) this.#release();
    this.#endTurn?.();
    await this.idle();
    this.#watch?.close();
    this.#watch = null;
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    this.#cancelTimer?.();
    while (this.#asked && !this.#stopped) {
      this.#asked = false;
      this.#stirred = false;
      const startMs = clock.nowMs();
      const movedOn = await this.#round();
      const endMs = clock.nowMs();
      this.#restUntilMs = endMs + Math.min(endMs - startMs, REST_MS_MAX);
      // A storm of wake-ups must not keep timers and sockets from being served.
      if (this.#asked) await this.#turn(movedOn ? Math.min(endMs - startMs, GATHER_MS_MAX) : 0);
    }
    this.#running = false;
    if (!this.#stopped) this.#setTimer();
    if (!this.#stirred) this.#release();
  }

  #release(): void {
    for (const resolve of this.#waiters.splice(0)) resolve();
  }

  /** Lets the event loop turn, for `ms` at least; stop() need not wait for it. */
  #turn(ms = 0): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(ms, resolve);
      this.#endTurn = () => {
        cancel();
        resolve();
      };
    });
  }

  /** True when the log wants something else by now. */
  async #round(): Promise<boolean> {
    const { clock, onRound, wanted } = this.#options;
    const { plan, prune } = wanted();
    this.#retryAtMs = null;
    if (plan === null) return false;
    const startMs = clock.nowMs();
    let round: Round | null;
    try {
      const scope = await this.#survey(plan);
      round = await runRound(this.#context, plan, prune, scope);
    } catch (error) {
      this.#unwatch();
      round = failedRound(plan, this.#context.memory, reasonOf(error), clock.nowMs() - startMs);
    }
    if (round !== null) {
      this.#unfinished = round.clean ? 0 : this.#unfinished + 1;
      this.#retryAtMs = this.#nextTry(round);
      onRound({ ...round, retryAtMs: this.#retryAtMs });
    }
    const after = wanted();
    // What changed during the round was not seen by it, or only in part.
    const movedOn = after.plan?.seq !== plan.seq;
    if (round === null || movedOn || after.prune !== prune) this.#asked = true;
    return movedOn;
  }

  #nextTry(round: Round): number | null {
    if (round.clean) return round.retryAtMs;
    const againAtMs = this.#options.clock.nowMs() + delayMs(this.#unfinished);
    return Math.min(round.retryAtMs ?? againAtMs, againAtMs);
  }

  /** The plan's scope and what an earlier configuration left behind. Watches before it looks. */
  async #survey(plan: Plan): Promise<Scope> {
    const { kernel, clock } = this.#options;
    this.#watch ??= kernel.watch(() => this.#stir());
    const links = plan.scope.links.join(" ");
    const atMs = clock.nowMs();
    const due = this.#surveyed === null || atMs - this.#surveyed.atMs >= this.#periodMs;
    if (due || this.#surveyed?.links !== links) {
      const { devices } = await kernel.facts();
      const mark = aliasOf(plan.fabric);
      this.#marked = devices.filter((device) => device.alias === mark).map(({ name }) => name);
      this.#surveyed = { atMs, links };
    }
    return {
      ...plan.scope,
      links: [...new Set([...plan.scope.links, ...this.#marked])],
      routeDevs: [...new Set([...plan.scope.routeDevs, ...this.#marked])],
    };
  }

  /** The socket that notifies may be as dead as the one that was read from. */
  #unwatch(): void {
    this.#stamp++;
    this.#watch?.close();
    this.#watch = null;
  }

  get #periodMs(): number {
    return this.#options.periodMs ?? PERIOD_MS;
  }

  #setTimer(): void {
    const { clock } = this.#options;
    const passAtMs = clock.nowMs() + this.#periodMs;
    const retryAtMs = Math.min(passAtMs, this.#retryAtMs ?? passAtMs);
    const atMs = this.#stirred ? Math.min(retryAtMs, this.#restUntilMs) : retryAtMs;
    this.#cancelTimer?.();
    this.#cancelTimer = clock.after(Math.max(0, atMs - clock.nowMs()), () => {
      this.#stamp++;
      this.wake();
    });
  }
}

function failedRound(plan: Plan, memory: Memory, error: string, tookMs: number): Round {
  return {
    seq: plan.seq,
    ops: 0,
    drift: [],
    driftCount: 0,
    failures: failuresOf(memory.retries, plan),
    clean: false,
    pending: [],
    pendingCount: 0,
    retryAtMs: null,
    error,
    tookMs,
  };
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
