// What ops do to a kernel, on plain maps: no errors, no checks, only the side effects that diff
// relies on (a device takes its contents with it, a MAC keeps one remote, the zero MAC many). For
// properties of diff; the full model of a kernel is elsewhere.

import { deviceOf } from "../../src/reconcilers/diff.ts";
import { isReplica } from "../../src/reconcilers/fdb.ts";
import {
  emptyKernelState,
  type KernelState,
  type Link,
  type MutableKernelState,
  type Noun,
} from "../../src/reconcilers/kernel-state.ts";
import { losesNeighs, mustRecreate } from "../../src/reconcilers/link.ts";
import { mapOf } from "../../src/reconcilers/nouns.ts";
import type { NounTypes, Op } from "../../src/reconcilers/op.ts";

export function copyOf(state: KernelState): MutableKernelState {
  const copy = emptyKernelState();
  for (const noun of Object.keys(mapOf) as Noun[]) {
    const target = tableOf(copy, noun);
    for (const [key, object] of tableOf(state, noun)) target.set(key, object);
  }
  return copy;
}

/** Changes `state` as the kernel would. */
export function applyOp(state: MutableKernelState, op: Op): void {
  const table = tableOf(state, op.noun);
  if (op.noun === "link") changeLink(state, op.verb === "set" ? op.object : null, op.key);
  if (op.noun === "fdb" && op.verb === "set" && !isReplica(op.object) && !state.fdb.has(op.key)) {
    for (const [key, entry] of state.fdb) {
      if (entry.dev === op.object.dev && entry.mac === op.object.mac) state.fdb.delete(key);
    }
  }
  if (op.verb === "set") table.set(op.key, op.object);
  else table.delete(op.key);
}

export function applyAll(state: KernelState, ops: readonly Op[]): MutableKernelState {
  const after = copyOf(state);
  for (const op of ops) applyOp(after, op);
  return after;
}

function changeLink(state: MutableKernelState, want: Link | null, name: string): void {
  const found = state.links.get(name);
  if (found === undefined) return;
  if (want === null || mustRecreate(want, found)) emptyDevice(state, name, null);
  else if (losesNeighs(want, found)) emptyDevice(state, name, "neigh");
}

function emptyDevice(state: MutableKernelState, name: string, only: Noun | null): void {
  for (const noun of Object.keys(mapOf) as Noun[]) {
    if (noun === "link" || (only !== null && noun !== only)) continue;
    const table = tableOf(state, noun);
    for (const [key, object] of table) if (deviceOf(noun, object) === name) table.delete(key);
  }
}

/** All tables alike; the noun says what is in them. */
export function tableOf(state: KernelState, noun: Noun): Map<string, NounTypes[Noun]> {
  return state[mapOf[noun]] as unknown as Map<string, NounTypes[Noun]>;
}
