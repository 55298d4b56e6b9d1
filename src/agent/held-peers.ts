// Which peers' entries this host holds on demand, with the time when each was last sent to. Who is
// idle for long is let go of; the few that were used last may be kept all the same.

import type { Cidr } from "../events/address.ts";

export interface Ageing {
  /** Without a packet for so long, an entry is idle. */
  readonly idleMs: number;
  /** That many of the last used are never idle. */
  readonly keep: number;
  /** At most so many go at once. */
  readonly most: number;
}

export class HeldPeers {
  readonly #usedMs = new Map<Cidr, number>();
  #version = 0;

  /** Another number whenever a subnet came or went. */
  get version(): number {
    return this.#version;
  }

  get size(): number {
    return this.#usedMs.size;
  }

  subnets(): Iterable<Cidr> {
    return this.#usedMs.keys();
  }

  has(subnet: Cidr): boolean {
    return this.#usedMs.has(subnet);
  }

  /** Adds it, or notes that it was used again. */
  use(subnet: Cidr, atMs: number): void {
    const before = this.#usedMs.get(subnet);
    if (before === undefined) this.#version++;
    this.#usedMs.set(subnet, Math.max(atMs, before ?? Number.NEGATIVE_INFINITY));
  }

  /** When the one that rests longest was last used. */
  oldestMs(otherwise: number): number {
    let oldestMs = otherwise;
    for (const usedMs of this.#usedMs.values()) oldestMs = Math.min(oldestMs, usedMs);
    return oldestMs;
  }

  drop(gone: (subnet: Cidr) => boolean): void {
    for (const subnet of this.#usedMs.keys()) {
      if (gone(subnet) && this.#usedMs.delete(subnet)) this.#version++;
    }
  }

  /** Lets go of the idle, those that rest longest first, and returns them. */
  age(nowMs: number, { idleMs, keep, most }: Ageing): readonly Cidr[] {
    const byUse = [...this.#usedMs].sort((a, b) => b[1] - a[1]);
    const idle = byUse.slice(keep).filter(([, usedMs]) => nowMs - usedMs >= idleMs);
    const aged = new Set(
      idle
        .reverse()
        .slice(0, most)
        .map(([subnet]) => subnet),
    );
    this.drop((subnet) => aged.has(subnet));
    return [...aged];
  }
}
