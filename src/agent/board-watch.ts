// The status board as somebody sees it who waits for the hosts: how far each has come by its own
// last word, and when that was. A host that has been silent for a while is not waited for.

import { type Clock, sleep } from "../events/clock.ts";
import { LogError } from "../events/log.ts";
import { BOARD_AGE_MS, type HostStatus, type StatusBoard } from "../events/status-board.ts";
import { type BoardHost, LiveHosts } from "./live-hosts.ts";
import type { BoardEntry } from "./status.ts";

const RETRY_MS = 250;

export interface BoardWatch {
  /** Hosts that showed themselves lately and are not on their way out. */
  live(): readonly BoardHost[];
  /** Whether the board has been read once. */
  known(): boolean;
  /** The last entry of every host, whoever wrote it, by node name. */
  entries(): readonly HostStatus[];
  /** Why the entries may be old, or null. */
  trouble(): string | null;
  /** Calls `listener` after each change; the returned function ends that. */
  onChange(listener: () => void): () => void;
  /** Until `signal` aborts; trouble with the board is waited out. */
  run(signal: AbortSignal): Promise<void>;
}

export function createBoardWatch(deps: {
  readonly board: StatusBoard;
  readonly clock: Clock;
  readonly wallMs: () => number;
}): BoardWatch {
  const { board, clock } = deps;
  /** Oldest first. */
  const entries = new Map<string, HostStatus>();
  const hosts = new LiveHosts();
  const listeners = new Set<() => void>();
  let isKnown = false;
  let trouble: string | null = null;

  function note(entry: HostStatus, heardMs: number): void {
    keep(entries, entry);
    const host = readHost(entry, heardMs);
    if (host !== null) hosts.note(host, clock.nowMs());
  }

  function tell(): void {
    for (const listener of [...listeners]) listener();
  }

  async function follow(signal: AbortSignal): Promise<void> {
    const first = [...(await board.list())].sort((a, b) => a.timeMs - b.timeMs);
    // Stamps are the server's. The newest of them, or our own clock, tells how old the others are;
    // a wrong clock here corrects itself with the next entry of each host, which is fresh as it
    // comes.
    const nowMs = Math.max(deps.wallMs(), ...first.map((entry) => entry.timeMs));
    const seen = new Map<string, number>();
    // A board that was made anew has forgotten hosts.
    entries.clear();
    for (const entry of first) {
      seen.set(entry.node, entry.timeMs);
      note(entry, clock.nowMs() - (nowMs - entry.timeMs));
    }
    isKnown = true;
    trouble = null;
    tell();
    for await (const entry of board.watch(signal)) {
      const seenMs = seen.get(entry.node);
      seen.delete(entry.node);
      if (entry.timeMs === seenMs) continue;
      note(entry, clock.nowMs());
      tell();
    }
  }

  return {
    live: () => hosts.at(clock.nowMs()),
    known: () => isKnown,
    entries: () => [...entries.values()].sort((a, b) => (a.node < b.node ? -1 : 1)),
    trouble: () => trouble,
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    run: async (signal) => {
      while (!signal.aborted) {
        try {
          await follow(signal);
        } catch (error) {
          if (!(error instanceof LogError)) throw error;
          trouble = error.message;
          await sleep(clock, RETRY_MS, signal);
        }
      }
    },
  };
}

/** The board itself has forgotten those that go here, which it does not tell. */
function keep(entries: Map<string, HostStatus>, entry: HostStatus): void {
  entries.delete(entry.node);
  entries.set(entry.node, entry);
  for (const oldest of entries.values()) {
    if (entry.timeMs - oldest.timeMs < BOARD_AGE_MS) break;
    entries.delete(oldest.node);
  }
}

/** Null when it is not an agent's entry: nobody to wait for. */
function readHost({ node, payload }: HostStatus, heardMs: number): BoardHost | null {
  try {
    const entry = JSON.parse(new TextDecoder().decode(payload)) as Partial<BoardEntry> | null;
    const applied = entry?.seq?.applied;
    if (typeof applied !== "number") return null;
    const problems = Array.isArray(entry?.problems) ? entry.problems.map(String) : [];
    return { node, applied, state: entry?.state ?? "starting", problems, heardMs };
  } catch {
    return null;
  }
}
