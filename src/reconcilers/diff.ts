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
  const sets: Op[] = [];
  const more = new Set<Noun>();
  for (const noun of upwards) {
    const there = pushSets(sets, noun, want, have, lost);
    if (there < mapFor(have, noun).size) more.add(noun);
  }
  const strays = options.prune && more.size > 0 ? straysOf(want, have, options.fabric, more) : [];
  if (strays.length === 0) return sets;
  const inTheWay = strays.filter((op) => op.noun === "link" && blocks(op.object, want));
  return [...inTheWay, ...sets, ...strays.filter((op) => !inTheWay.includes(op))];
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

/** Returns how many of the wanted keys were found. */
function pushSets<N extends Noun>(
  ops: Op[],
  noun: N,
  want: KernelState,
  have: KernelState,
  lost: Lost,
): number {
  const { same } = nouns[noun] as NounRules<NounTypes[N]>;
  const [wanted, found] = [mapFor(want, noun), mapFor(have, noun)];
  const anyLost = lost.all.size + lost.neighs.size > 0;
  // One and the same table since a round found it so (share.ts).
  if (wanted === found && !anyLost) return found.size;
  let count = 0;
  for (const [key, object] of wanted) {
    const there = found.get(key) ?? null;
    if (there !== null) count += 1;
    // Mostly the very same object, taken over from the last plan (peer-rows.ts, share.ts).
    const stays = there === object || (there !== null && same(object, there));
    if (stays && !(anyLost && isLost(noun, object, lost))) continue;
    ops.push({ verb: "set", noun, key, object, found: there } as Op);
  }
  return count;
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

/** `more`: the nouns of which more was found than is wanted. */
function straysOf(
  want: KernelState,
  have: KernelState,
  fabric: string,
  more: ReadonlySet<Noun>,
): Op[] {
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
  return downwards.flatMap((noun) =>
    more.has(noun) ? straysOfNoun(noun, want, have, by, removed) : [],
  );
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
