// Time as a limit shall count it. What a host promises, it promises with a core to work on; beside
// other work it waits for one first, and a limit on plain time would be a limit on that other work.
// The kernel tells how long tasks waited (Documentation/accounting/psi.rst) and how long the
// hypervisor gave the cores to others (proc_stat(5), "steal").

import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";

/** However busy the machine is: a limit is overrun after so many times as long. */
const MOST = 10;
const STEAL_FIELD = 8;
const MS_PER_TICK = 10;

/** The waits of all cores are averaged, so that those of one may count this many times less. */
const CORES = availableParallelism();

/** Milliseconds in which somebody had to wait so far, rather too many than too few. */
function waitedMs(): number {
  try {
    const stalls = ["cpu", "io", "memory"].map((of) => {
      const total = /^some .*total=(\d+)/.exec(readFileSync(`/proc/pressure/${of}`, "utf8"))?.[1];
      return (Number(total) / 1000) * CORES;
    });
    const [all = ""] = readFileSync("/proc/stat", "utf8").split("\n");
    const stolen = Number(all.split(/\s+/)[STEAL_FIELD] ?? 0) * MS_PER_TICK;
    return stalls.reduce((sum, stall) => sum + stall, stolen);
  } catch (error) {
    // A kernel that does not tell (CONFIG_PSI=n, psi=0): then all of it may have been waiting.
    if (error instanceof Error && "code" in error) return performance.now();
    throw error;
  }
}

export class Stopwatch {
  readonly #waited: () => number;
  readonly #startMs = performance.now();
  readonly #waitedMs: number;

  constructor(waited: () => number = waitedMs) {
    this.#waited = waited;
    this.#waitedMs = waited();
  }

  /** By the clock on the wall, for reports. */
  wallMs(): number {
    return performance.now() - this.#startMs;
  }

  /** Without what was spent waiting for the machine, for limits. */
  freeMs(): number {
    const wallMs = this.wallMs();
    return Math.max(wallMs - (this.#waited() - this.#waitedMs), wallMs / MOST);
  }

  /** So much longer may have taken what took a part of the time. */
  waitedMs(): number {
    return this.wallMs() - this.freeMs();
  }
}
