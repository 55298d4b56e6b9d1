// In which order the ops of a round go to the kernel, and which of them must wait for others:
// nothing on a device that could not be made, no route of a peer whose neighbour or forwarding
// entry is missing (the kernel would send into the void), no removal of what a route still needs.

import { idOf } from "./backoff.ts";
import { deviceOf } from "./diff.ts";
import type { Noun } from "./kernel-state.ts";
import { isMarked } from "./link.ts";
import type { Op } from "./op.ts";

const SET_PHASE: { readonly [N in Noun]: number } = {
  link: 0,
  addr: 1,
  sysctl: 1,
  peer: 2,
  fdb: 2,
  neigh: 2,
  route: 3,
  rule: 5,
};
const REMOVALS = 4;

/** Cuts the ops of a diff into phases, each to be applied in one go. */
export function phasesOf(ops: readonly Op[]): readonly (readonly Op[])[] {
  const phases: Op[][] = [[], [], [], [], [], []];
  const firstSet = ops.findIndex((op) => op.verb === "set");
  ops.forEach((op, i) => {
    // diff puts a removal before the sets only when it stands in the way of one.
    const phase =
      op.verb === "set" ? SET_PHASE[op.noun] : i < firstSet ? 0 : op.noun === "rule" ? 5 : REMOVALS;
    phases[phase]?.push(op);
  });
  return phases.filter((phase) => phase.length > 0);
}

/** What failed or was put off so far in a round, and what therefore has to wait. */
export interface Obstacles {
  readonly devices: Set<string>;
  readonly peers: Set<string>;
  /** `<dev> <gateway>` and `<dev> <mac>` that a route which could not be replaced still uses. */
  readonly inUse: Set<string>;
}

export function noObstacles(): Obstacles {
  return { devices: new Set(), peers: new Set(), inUse: new Set() };
}

export function mustWait(
  op: Op,
  peerOf: (op: Op) => string | undefined,
  obstacles: Obstacles,
): boolean {
  const dev = deviceOf(op.noun, op.object);
  if (op.verb === "set") {
    if (op.noun !== "link" && dev !== null && obstacles.devices.has(dev)) return true;
    // Mostly nothing is in anybody's way, and nobody need be looked up.
    if (op.noun !== "route" || obstacles.peers.size === 0) return false;
    const peer = peerOf(op);
    return peer !== undefined && obstacles.peers.has(peer);
  }
  if (op.noun === "neigh" && obstacles.inUse.has(`${dev} ${op.object.ip}`)) {
    obstacles.inUse.add(`${dev} ${op.object.mac}`);
    return true;
  }
  return op.noun === "fdb" && obstacles.inUse.has(`${dev} ${op.object.mac}`);
}

/** Notes that `op` is not done in this round. */
export function obstruct(op: Op, peer: string | undefined, obstacles: Obstacles): void {
  if (op.verb === "del") return;
  if (op.noun === "link") obstacles.devices.add(op.key);
  if ((op.noun === "neigh" || op.noun === "fdb") && peer !== undefined) obstacles.peers.add(peer);
  if (op.noun === "route" && op.found !== null) {
    obstacles.inUse.add(`${op.found.dev} ${op.found.via}`);
  }
}

/** Why an op must not even be tried, or null. */
export function refusalOf(op: Op): string | null {
  if (op.noun !== "link" || op.verb !== "set" || op.found === null) return null;
  const { alias } = op.found;
  if (!isMarked(op.found) || alias === op.object.alias) return null;
  // Two agents would otherwise take the device from each other for ever.
  const advice = op.object.kind === "tun" ? "one udp fabric per host" : "give this one another VNI";
  return `belongs to another fabric ('${alias}'): ${advice}`;
}

/** One line about a failed op, without the peer's name. */
export function complaint(op: Op, message: string): string {
  return `${op.verb === "del" ? "removing " : ""}${idOf(op)}: ${message}`;
}
