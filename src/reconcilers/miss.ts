// The port to the part of a kernel that asks: whom does it look for on our tunnel devices, what is
// it answered, and which answers are in use. Everything here happens within the turn of the event
// loop in which it is called. Implementations: kernel-netlink-miss.ts, and kernel-model-miss.ts in
// test/support, both under one contract suite.

import type { Ip } from "../events/address.ts";
import type { Watch } from "./kernel.ts";
import type { Op, OpOutcome } from "./op.ts";

/** The kernel looks for a neighbour, and keeps packets for it in a queue meanwhile. */
export interface Miss {
  readonly dev: string;
  readonly ip: Ip;
  /** For how long it has, as far as the kernel tells. */
  readonly sinceMs: number;
}

/** A neighbour of ours with its forwarding entry. */
export interface Use {
  readonly dev: string;
  readonly ip: Ip;
  /** Since a packet was last sent to it; 0 when that is not known. */
  readonly idleMs: number;
}

/** A neighbour or a forwarding entry to be set, or a neighbour that is not to be had: removed. */
export type Answer = Extract<Op, { noun: "neigh" | "fdb" }>;

export interface MissKernel {
  /**
   * Calls back with every question as it comes. `onGap` says that some may have gone unheard, at
   * first and whenever notifications were lost: then `pending` knows them.
   */
  watchMisses(onMiss: (miss: Miss) => void, onGap: () => void): Watch;
  /** Neighbours that are looked for, or were in vain, on these devices. Throws NetlinkError. */
  pending(devs: readonly string[]): readonly Miss[];
  /** One outcome per op, in the same order. Never throws for an op. */
  answer(ops: readonly Answer[]): readonly OpOutcome[];
  /** Throws NetlinkError. */
  uses(devs: readonly string[]): readonly Use[];
}
