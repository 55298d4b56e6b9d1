// The port to the part of a kernel that asks: whom does it look for on our tunnel devices, what is
// it answered, and which answers are in use. Everything here happens within the turn of the event
// loop in which it is called, but for answers that were prepared: those are given at any time.
// Implementations: kernel-netlink-miss.ts, and kernel-model-miss.ts in test/support, both under one
// contract suite.

import type { Ip, Mac } from "../events/address.ts";
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

/** How the host sends to the gateway `ip`, for whoever answers by itself; null: no longer. */
export interface Prepared {
  readonly ip: Ip;
  readonly to: { readonly mac: Mac; readonly dst: Ip } | null;
}

/** A question that was answered from what was prepared. */
export interface Answered {
  readonly dev: string;
  readonly ip: Ip;
  /** From its arrival to the kernel's acknowledgement. */
  readonly waitedUs: number;
  /** False when the kernel refused it. */
  readonly ok: boolean;
}

export interface MissWatcher {
  /** To be answered. */
  readonly onMiss: (miss: Miss) => void;
  readonly onAnswered: (answered: Answered) => void;
  /**
   * Questions may have gone unheard and answers untold, at first and whenever some were lost: then
   * `pending` and `uses` know them.
   */
  readonly onGap: () => void;
}

/** Who answers what was prepared. */
export type MissPath =
  | { readonly by: "thread"; readonly realtime: boolean }
  /** Nobody: every question is told. The reason is one line. */
  | { readonly by: "event-loop"; readonly reason: string };

export interface MissWatch extends Watch {
  readonly path: MissPath;
  /** Adds to what was prepared, or takes back. */
  prepare(answers: readonly Prepared[]): void;
  /** From here on, questions of these devices alone are answered from what was prepared. */
  serve(devs: readonly string[]): void;
  /** Tells of all answers until now: of every one that a dump has shown. */
  drain(): void;
}

export interface MissKernel {
  /** Nothing is served at first. */
  watchMisses(watcher: MissWatcher): MissWatch;
  /** Neighbours that are looked for, or were in vain, on these devices. Throws NetlinkError. */
  pending(devs: readonly string[]): readonly Miss[];
  /** One outcome per op, in the same order. Never throws for an op. */
  answer(ops: readonly Answer[]): readonly OpOutcome[];
  /** Throws NetlinkError. */
  uses(devs: readonly string[]): readonly Use[];
}
