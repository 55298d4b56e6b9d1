// heddle wait: until every live host has applied a sequence. Hosts show their progress on the
// status board; one that has been silent for a while is not waited for.

import type { BoardEntry } from "../agent/status.ts";
import { sleep } from "../events/clock.ts";
import { formatDuration } from "../events/point.ts";
import type { HostStatus, StatusBoard } from "../events/status-board.ts";
import { withLog } from "./connection.ts";
import type { Deps } from "./deps.ts";
import { EXIT_FAILED, EXIT_OK, Failure, misuse } from "./failure.ts";
import type { LogFlags } from "./flags.ts";

interface WaitFlags extends LogFlags {
  readonly seq: number;
  readonly nodes?: number;
  readonly timeout?: number;
}

const FRESH_MS = 15_000;
const LOOK_MS = 100;
const TIMEOUT_MS = 60_000;

/** A host's progress; `heardMs` is the clock's reading when its entry was fresh. */
interface Progress {
  readonly applied: number;
  readonly heardMs: number;
  readonly stopping: boolean;
}

export async function wait(deps: Deps, flags: WaitFlags): Promise<number> {
  const timeoutMs = flags.timeout ?? TIMEOUT_MS;
  return await withLog(deps, flags, async ({ log, status }) => {
    const { lastSeq } = await log.info();
    if (flags.seq > lastSeq) throw misuse(`--seq ${flags.seq}`, `the log ends at ${lastSeq}`);
    const hosts = new Map<string, Progress>();
    const stop = new AbortController();
    const trouble = follow(deps, status, hosts, stop.signal).then(
      () => new Promise<never>(() => undefined),
    );
    try {
      return await Promise.race([settled(deps, flags, hosts, timeoutMs), trouble]);
    } finally {
      stop.abort();
    }
  });
}

async function follow(
  deps: Deps,
  board: StatusBoard,
  hosts: Map<string, Progress>,
  signal: AbortSignal,
): Promise<void> {
  const first = await board.list();
  // Stamps are the server's. The newest of them, or our own clock, tells how old the others are; a
  // wrong clock here corrects itself with the next entry of each host, which is fresh as it comes.
  const nowMs = Math.max(deps.wallMs(), ...first.map((entry) => entry.timeMs));
  const seen = new Map<string, number>();
  for (const entry of first) {
    seen.set(entry.node, entry.timeMs);
    note(hosts, entry, deps.clock.nowMs() - (nowMs - entry.timeMs));
  }
  for await (const entry of board.watch(signal)) {
    if (entry.timeMs === seen.get(entry.node)) continue;
    note(hosts, entry, deps.clock.nowMs());
  }
}

function note(hosts: Map<string, Progress>, entry: HostStatus, heardMs: number): void {
  const status = readStatus(entry.payload);
  if (status === null) return;
  const stopping = status.state === "stopping";
  hosts.set(entry.node, { applied: status.seq.applied, heardMs, stopping });
}

function readStatus(payload: Uint8Array): Pick<BoardEntry, "seq" | "state"> | null {
  try {
    const status = JSON.parse(new TextDecoder().decode(payload)) as Partial<BoardEntry> | null;
    const applied = status?.seq?.applied;
    if (typeof applied !== "number" || status?.seq === undefined) return null;
    return { seq: status.seq, state: status.state ?? "starting" };
  } catch {
    return null; // Not an agent's entry: nobody to wait for.
  }
}

async function settled(
  deps: Deps,
  flags: WaitFlags,
  hosts: ReadonlyMap<string, Progress>,
  timeoutMs: number,
): Promise<number> {
  const wanted = flags.nodes ?? 1;
  const untilMs = deps.clock.nowMs() + timeoutMs;
  for (;;) {
    const nowMs = deps.clock.nowMs();
    const live = [...hosts].filter(
      ([, host]) => !host.stopping && nowMs - host.heardMs <= FRESH_MS,
    );
    const behind = live.filter(([, { applied }]) => applied < flags.seq);
    if (live.length >= wanted && behind.length === 0) {
      const who = live.length === 1 ? "1 host has" : `${live.length} hosts have`;
      deps.out.line(`${who} applied sequence ${flags.seq}`);
      return EXIT_OK;
    }
    if (nowMs >= untilMs) throw late(flags, timeoutMs, live.length, behind);
    await sleep(deps.clock, LOOK_MS);
  }
}

function late(
  flags: WaitFlags,
  timeoutMs: number,
  live: number,
  behind: readonly (readonly [string, Progress])[],
): Failure {
  const wanted = flags.nodes ?? 1;
  const who = behind.map(([node, { applied }]) => `${node} is at ${applied}`).sort();
  if (live < wanted) who.unshift(`${live} live hosts, ${wanted} wanted`);
  const after = `after ${formatDuration(timeoutMs)}`;
  return new Failure(
    EXIT_FAILED,
    `sequence ${flags.seq} is not applied ${after}: ${who.join(", ")}`,
  );
}
