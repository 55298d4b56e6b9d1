// What must change so that the kernel holds what is wanted: pure, ordered, and blind to everything
// that is not ours. A wanted key held by something else is corrected whoever put it there; anything
// else of others is left alone. Removals come last, so that a peer that changes its path keeps the
// old one until the new one stands.

import type { KernelState, Link, Noun } from "./kernel-state.ts";
import { aliasOf, losesNeighs, mustRecreate } from "./link.ts";
import type { NounRules, Ownership } from "./noun.ts";
import { downwards, mapOf, nouns, upwards } from "./nouns.ts";
import type { NounTypes, Op } from "./op.ts";
import { sysctlDevice } from "./sysctl.ts";

export interface DiffOptions {
  /** Whose devices and tables may be removed. */
  readonly fabric: string;
  /** False until the log has been read to its head: then nothing is removed. */
  readonly prune: boolean;
}

/** Devices whose contents the kernel drops while these ops are applied. */
interface Lost {
  readonly all: ReadonlySet<string>;
  readonly neighs: ReadonlySet<string>;
}

export function diff(want: KernelState, have: KernelState, options: DiffOptions): readonly Op[] {
  const lost = lostBy(want, have);
  const ops: Op[] = [];
  const strays = options.prune ? straysOf(want, have, options.fabric) : [];
  const inTheWay = strays.filter((op) => op.noun === "link" && blocks(op.object, want));
  for (const op of inTheWay) ops.push(op);
  for (const noun of upwards) pushSets(ops, noun, want, have, lost);
  for (const op of strays) if (!inTheWay.includes(op)) ops.push(op);
  return ops;
}

function lostBy(want: KernelState, have: KernelState): Lost {
  const all = new Set<string>();
  const neighs = new Set<string>();
  for (const [name, link] of want.links) {
    const found = have.links.get(name);
    if (found === undefined) continue;
    if (mustRecreate(link, found)) all.add(name);
    else if (losesNeighs(link, found)) neighs.add(name);
  }
  return { all, neighs };
}

function pushSets<N extends Noun>(
  ops: Op[],
  noun: N,
  want: KernelState,
  have: KernelState,
  lost: Lost,
): void {
  const { same } = nouns[noun] as NounRules<NounTypes[N]>;
  const [wanted, found] = [mapFor(want, noun), mapFor(have, noun)];
  const anyLost = lost.all.size + lost.neighs.size > 0;
  // One and the same table since a round found it so (share.ts).
  if (wanted === found && !anyLost) return;
  for (const [key, object] of wanted) {
    const there = found.get(key) ?? null;
    const stays = there !== null && same(object, there);
    if (stays && !(anyLost && isLost(noun, object, lost))) continue;
    ops.push({ verb: "set", noun, key, object, found: there } as Op);
  }
}

function isLost(noun: Noun, object: NounTypes[Noun], lost: Lost): boolean {
  const dev = deviceOf(noun, object);
  if (dev === null || noun === "link") return false;
  return lost.all.has(dev) || (noun === "neigh" && lost.neighs.has(dev));
}

/** The device that an object lives on, or null. */
export function deviceOf(noun: Noun, object: NounTypes[Noun]): string | null {
  if (noun === "link") return (object as Link).name;
  if (noun === "sysctl") return sysctlDevice((object as NounTypes["sysctl"]).path);
  return "dev" in object ? object.dev : null;
}

function straysOf(want: KernelState, have: KernelState, fabric: string): Op[] {
  // Another fabric's device is in sight when both were given one VNI; what is on it is not ours.
  const mark = aliasOf(fabric);
  const devices = new Set<string>();
  for (const link of have.links.values()) if (link.alias === mark) devices.add(link.name);
  const learning = new Set<string>();
  for (const link of want.links.values()) if (link.learning) learning.add(link.name);
  const by: Ownership = { fabric, devices, learning };
  const removed = new Set<string>();
  for (const [name, link] of have.links) {
    if (!want.links.has(name) && nouns.link.owned(link, by)) removed.add(name);
  }
  return downwards.flatMap((noun) => straysOfNoun(noun, want, have, by, removed));
}

function straysOfNoun<N extends Noun>(
  noun: N,
  want: KernelState,
  have: KernelState,
  by: Ownership,
  removed: ReadonlySet<string>,
): Op[] {
  const { owned } = nouns[noun] as NounRules<NounTypes[N]>;
  const [wanted, found] = [mapFor(want, noun), mapFor(have, noun)];
  if (wanted === found) return [];
  const ops: Op[] = [];
  for (const [key, object] of found) {
    if (wanted.has(key) || !owned(object, by)) continue;
    const dev = deviceOf(noun, object);
    // What is on a device goes with it; a device with 30 000 objects goes in one message.
    if (noun !== "link" && dev !== null && removed.has(dev)) continue;
    ops.push({ verb: "del", noun, key, object, found: object } as Op);
  }
  return ops;
}

/** The kernel refuses a second device with the same VNI and port (EEXIST); a port has one user. */
function blocks(stray: Link, want: KernelState): boolean {
  for (const link of want.links.values()) {
    if (link.port !== stray.port) continue;
    if (link.vni === stray.vni || link.kind !== stray.kind) return true;
  }
  return false;
}

function mapFor<N extends Noun>(state: KernelState, noun: N): ReadonlyMap<string, NounTypes[N]> {
  // Sound by `mapOf`, which TypeScript cannot carry through a generic index.
  return state[mapOf[noun]] as unknown as ReadonlyMap<string, NounTypes[N]>;
}
