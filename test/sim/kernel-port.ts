// A host's kernel as one process sees it: every call takes its time and may fail, the process may
// die between two ops, and the checkers see each op before and after it is done.

import type { HostFacts, Kernel, Scope, Watch } from "../../src/reconcilers/kernel.ts";
import type { KernelState } from "../../src/reconcilers/kernel-state.ts";
import type { Op, OpOutcome } from "../../src/reconcilers/op.ts";
import { copyOf, tableOf } from "../support/apply-ops.ts";
import type { Gate } from "./gate.ts";
import type { Prng } from "./prng.ts";
import type { SimClock } from "./sim-clock.ts";

export interface KernelFaults {
  delayMsMax: number;
  /** A dump fails. */
  dumpFails: number;
}

export interface KernelPortDeps {
  readonly kernel: Kernel;
  readonly gate: Gate;
  readonly clock: SimClock;
  readonly random: Prng;
  readonly faults: KernelFaults;
  readonly before: (ops: readonly Op[], found: KernelState | null) => void;
  readonly after: (ops: readonly Op[], outcomes: readonly OpOutcome[]) => void;
  /** The process dies here. */
  readonly onCrash: () => void;
}

export class KernelPort implements Kernel {
  readonly #deps: KernelPortDeps;
  /** What the process last saw, with what it added since. */
  #found: KernelState | null = null;
  #opsToCrash: number | null = null;

  constructor(deps: KernelPortDeps) {
    this.#deps = deps;
  }

  /** The process dies when this many more ops are done. */
  crashAfter(ops: number): void {
    this.#opsToCrash = ops;
  }

  observe(scope: Scope): Promise<KernelState> {
    return this.#call(async () => {
      this.#found = await this.#deps.kernel.observe(scope);
      return this.#found;
    });
  }

  apply(ops: readonly Op[]): Promise<readonly OpOutcome[]> {
    const { gate, before } = this.#deps;
    if (gate.alive) before(ops, this.#found);
    return gate.pass(async () => {
      await this.#delay();
      if (!gate.alive) return [];
      return await this.#applyNow(ops);
    });
  }

  watch(onChange: () => void): Watch {
    const { gate, kernel, clock, random } = this.#deps;
    let open = true;
    const watch = kernel.watch(() => {
      // A notification waits in its socket until the process gets to it.
      clock.after(random.int(0, 2), () => {
        if (open && gate.alive) onChange();
      });
    });
    const close = (): void => {
      open = false;
      undo();
      watch.close();
    };
    const undo = gate.onDeath(close);
    return { close };
  }

  facts(): Promise<HostFacts> {
    return this.#call(() => this.#deps.kernel.facts());
  }

  routeTo(ip: string): Promise<string | null> {
    return this.#call(() => this.#deps.kernel.routeTo(ip));
  }

  async #applyNow(ops: readonly Op[]): Promise<readonly OpOutcome[]> {
    const { kernel, after, onCrash } = this.#deps;
    const left = this.#opsToCrash ?? ops.length;
    const done = left < ops.length ? ops.slice(0, left) : ops;
    const outcomes = await kernel.apply(done);
    after(done, outcomes);
    this.#noteAdded(done, outcomes);
    if (this.#opsToCrash === null) return outcomes;
    this.#opsToCrash -= ops.length;
    if (this.#opsToCrash <= 0) onCrash();
    return outcomes;
  }

  #noteAdded(ops: readonly Op[], outcomes: readonly OpOutcome[]): void {
    const added = ops.filter(({ verb }, i) => verb === "set" && outcomes[i]?.ok === true);
    if (this.#found === null || added.length === 0) return;
    const found = copyOf(this.#found);
    for (const { noun, key, object } of added) tableOf(found, noun).set(key, object);
    this.#found = found;
  }

  #call<T>(work: () => Promise<T>): Promise<T> {
    const { gate, random, faults } = this.#deps;
    return gate.pass(async () => {
      await this.#delay();
      if (random.chance(faults.dumpFails)) throw new Error("ENOBUFS: the dump was interrupted");
      return await work();
    });
  }

  async #delay(): Promise<void> {
    const { clock, random, faults } = this.#deps;
    const ms = random.int(0, faults.delayMsMax);
    if (ms > 0) await clock.wait(ms);
  }
}
