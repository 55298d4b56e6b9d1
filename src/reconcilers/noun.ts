// What every kind of kernel object must answer so that diff, describe and the loop need not know
// it: are two of them the same, is one of them ours, how would a person make it.

import type { NounTypes } from "./op.ts";

/** Whose objects are in question when something is found that nobody wants. */
export interface Ownership {
  readonly fabric: string;
  /** Names of the devices that carry the fabric's mark, as found in the kernel. */
  readonly devices: ReadonlySet<string>;
  /** Those of them that shall learn: what they learnt belongs to nobody. */
  readonly learning: ReadonlySet<string>;
}

export interface NounRules<T extends NounTypes[keyof NounTypes]> {
  /** Equal in everything that we set; keys are equal already. */
  same(want: T, have: T): boolean;
  /** True when we, and nobody else, can have made it: only then may it be removed. */
  owned(object: T, by: Ownership): boolean;
  /** The shell command with the same effect, runnable as it stands. */
  command(verb: "set" | "del", object: T, found: T | null): string;
  /** One line for logs and for DriftHealed. */
  text(object: T): string;
}
