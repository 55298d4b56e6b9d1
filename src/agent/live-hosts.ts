// Hosts that showed themselves lately. Whoever is silent for longer, or on the way out, is not
// kept: hosts of a build cluster come and go by the thousand.

import type { AgentPhase } from "./status.ts";

/** Clocks of hosts and server are not compared: this is far longer than any beat (liveness.ts). */
export const FRESH_MS = 15_000;

/** A host by its entry on the board. */
export interface BoardHost {
  readonly node: string;
  readonly applied: number;
  readonly state: AgentPhase;
  readonly problems: readonly string[];
  /** Reading of the clock when the entry was fresh. */
  readonly heardMs: number;
}

export class LiveHosts {
  /** Longest unheard first. */
  readonly #hosts = new Map<string, BoardHost>();

  /** In the order in which they were heard. */
  note(host: BoardHost, nowMs: number): void {
    this.#hosts.delete(host.node);
    if (isLive(host, nowMs)) this.#hosts.set(host.node, host);
    for (const oldest of this.#hosts.values()) {
      if (isLive(oldest, nowMs)) break;
      this.#hosts.delete(oldest.node);
    }
  }

  at(nowMs: number): readonly BoardHost[] {
    return [...this.#hosts.values()].filter((host) => isLive(host, nowMs));
  }

  /** Hosts kept: those that were live at the last note. */
  get size(): number {
    return this.#hosts.size;
  }
}

function isLive({ state, heardMs }: BoardHost, nowMs: number): boolean {
  return state !== "stopping" && nowMs - heardMs <= FRESH_MS;
}
