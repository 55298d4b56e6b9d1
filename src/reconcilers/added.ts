// What a kernel holds after ops that only added to it, without looking: for the round after one
// that was not verified because the log had moved on.

import type { KernelState } from "./kernel-state.ts";
import { mapOf } from "./nouns.ts";
import type { Op } from "./op.ts";

/**
 * `kernel` as it should be after `ops`, each of which the kernel took. Null when not all of them
 * added something: what is replaced or removed may take more with it, so that has to be looked at.
 */
export function withAdded(kernel: KernelState, ops: readonly Op[]): KernelState | null {
  const tables: Record<string, Map<string, unknown>> = {};
  for (const { verb, noun, key, object, found } of ops) {
    if (verb === "del" || (found !== null && noun !== "sysctl")) return null;
    const name = mapOf[noun];
    tables[name] ??= new Map<string, unknown>(kernel[name]);
    tables[name].set(key, object);
  }
  return { ...kernel, ...tables };
}
