// The asking part of a host's kernel as one process sees it: a question reaches it a moment later,
// or never, and nothing does once it is dead. Of what its thread answered it hears a moment later
// too, unless it asks.

import type {
  Answer,
  Answered,
  Miss,
  MissKernel,
  MissWatch,
  MissWatcher,
  Use,
} from "../../src/reconcilers/miss.ts";
import type { OpOutcome } from "../../src/reconcilers/op.ts";
import type { MissModel } from "../support/kernel-model-miss.ts";
import type { Gate } from "./gate.ts";
import type { Prng } from "./prng.ts";
import type { SimClock } from "./sim-clock.ts";

export interface MissPortDeps {
  readonly model: MissModel;
  readonly gate: Gate;
  readonly clock: SimClock;
  readonly random: Prng;
}

export class MissPort implements MissKernel {
  readonly #deps: MissPortDeps;

  constructor(deps: MissPortDeps) {
    this.#deps = deps;
  }

  watchMisses({ onMiss, onAnswered, onGap }: MissWatcher): MissWatch {
    const { model, gate, clock, random } = this.#deps;
    let open = true;
    const later = (fn: () => void) =>
      void clock.after(random.int(0, 2), () => {
        if (open && gate.alive) fn();
      });
    const untold: Answered[] = [];
    const tell = (): void => {
      for (const answered of untold.splice(0)) onAnswered(answered);
    };
    const watch = model.watchMisses({
      onMiss: (miss) => later(() => onMiss(miss)),
      onAnswered: (answered) => {
        untold.push(answered);
        later(tell);
      },
      onGap: () => later(onGap),
    });
    const close = (): void => {
      open = false;
      undo();
      watch.close();
    };
    const undo = gate.onDeath(close);
    const drain = (): void => {
      watch.drain();
      if (open && gate.alive) tell();
    };
    return { ...watch, drain, close };
  }

  pending(devs: readonly string[]): readonly Miss[] {
    return this.#deps.model.pending(devs);
  }

  answer(ops: readonly Answer[]): readonly OpOutcome[] {
    return this.#deps.gate.alive ? this.#deps.model.answer(ops) : [];
  }

  uses(devs: readonly string[]): readonly Use[] {
    return this.#deps.model.uses(devs);
  }
}
