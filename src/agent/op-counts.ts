// Counts what a kernel was told and what it refused, by wrapping its port: for whoever watches the
// agent. Lookups pass through.

import { errnoName } from "../reconcilers/errno.ts";
import type { Kernel } from "../reconcilers/kernel.ts";
import type { Op, OpOutcome } from "../reconcilers/op.ts";

/** Since the process started. */
export interface OpCounts {
  /** Ops sent to the kernel, by `<verb> <noun>`. */
  readonly sent: ReadonlyMap<`${Op["verb"]} ${Op["noun"]}`, number>;
  /** Ops that failed, by the errno's name; "other" when the failure is not the kernel's. */
  readonly failed: ReadonlyMap<string, number>;
}

export interface CountedKernel {
  readonly kernel: Kernel;
  counts(): OpCounts;
}

export function countOps(kernel: Kernel): CountedKernel {
  const sent = new Map<`${Op["verb"]} ${Op["noun"]}`, number>();
  const failed = new Map<string, number>();

  function note({ verb, noun }: Op, outcome: OpOutcome | undefined): void {
    increase(sent, `${verb} ${noun}`);
    if (outcome === undefined || outcome.ok) return;
    increase(failed, outcome.errno === 0 ? "other" : errnoName(outcome.errno));
  }

  return {
    kernel: {
      observe: (scope) => kernel.observe(scope),
      apply: async (ops) => {
        const outcomes = await kernel.apply(ops);
        for (const [i, op] of ops.entries()) note(op, outcomes[i]);
        return outcomes;
      },
      watch: (onChange) => kernel.watch(onChange),
      facts: () => kernel.facts(),
      routeTo: (ip) => kernel.routeTo(ip),
    },
    counts: () => ({ sent, failed }),
  };
}

function increase<K>(counts: Map<K, number>, key: K): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
