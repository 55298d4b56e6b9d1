// Gives memory back once the agent has started. A start touches 36 MiB of the program's files,
// running needs half of that; a clean page of a file comes back from the page cache when it is
// touched, at the cost of a minor fault.
//
// Invariant: only mappings of files are named that nobody can write to and nobody has written to. A
// page that was relocated is private to the process and would be lost.

import { type Clock, sleep } from "../events/clock.ts";
import type { Logger } from "./logger.ts";

export interface Range {
  /** Address of the first byte, and bytes from there; whole pages. */
  readonly start: number;
  readonly length: number;
}

export interface TrimDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly isReady: () => boolean;
  /** Throws when the system refuses, which costs nothing but memory. */
  readonly releaseMemory: () => void;
}

/** Between two looks; an agent that is ready at two of them has its start behind it. */
const LOOK_MS = 2000;

/** Once in the life of an agent: what came back afterwards is what running needs. */
export async function trimAfterStart(deps: TrimDeps, signal: AbortSignal): Promise<void> {
  const { clock, logger, isReady, releaseMemory } = deps;
  for (let wasReady = false; ; ) {
    await sleep(clock, LOOK_MS, signal);
    if (signal.aborted) return;
    const ready = isReady();
    if (ready && wasReady) break;
    wasReady = ready;
  }
  try {
    releaseMemory();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    logger.debug("memory is kept", { reason });
  }
}

/** `40000-41000 r-xp 00001000 fe:00 1234   /path`, which begins each mapping. */
const HEAD = /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) [0-9a-f]+ [0-9a-f]+:[0-9a-f]+ (\d+)/;
const RESIDENT = /^Rss: +[1-9]/;
const WRITTEN = /^(Anonymous|Private_Dirty|Shared_Dirty|Locked): +[1-9]/;
const READ_ONLY = /^r-[x-]p$/;

/** The mappings in `smaps` (the text of /proc/PID/smaps) that can be dropped without loss. */
export function cleanRanges(smaps: string): readonly Range[] {
  const ranges: Range[] = [];
  for (const mapping of smaps.split(/^(?=[0-9a-f]+-)/m)) {
    const [head = "", ...fields] = mapping.split("\n");
    const [, from = "", to = "", permissions = "", inode = "0"] = HEAD.exec(head) ?? [];
    if (inode === "0" || !READ_ONLY.test(permissions)) continue;
    if (!fields.some((field) => RESIDENT.test(field))) continue;
    if (fields.some((field) => WRITTEN.test(field))) continue;
    const start = Number.parseInt(from, 16);
    ranges.push({ start, length: Number.parseInt(to, 16) - start });
  }
  return ranges;
}
