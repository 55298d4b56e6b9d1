// What a test run may leave behind and must not: network namespaces named hd… and processes. Our
// processes are known by a variable in their environment, which every child inherits, so another
// run on the same machine is never mistaken for this one.

import { existsSync, readdirSync, readFileSync } from "node:fs";

export const RUN_VARIABLE = "HEDDLE_TEST_RUN";

const NETNS_DIR = "/run/netns";
/** Namespaces of tests and of whole fabrics; both names hold the pid of their maker. */
const MADE_BY = /^hd-?(\d+)/;

export function namespaces(): Set<string> {
  if (!existsSync(NETNS_DIR)) return new Set();
  return new Set(readdirSync(NETNS_DIR).filter((name) => MADE_BY.test(name)));
}

interface Process {
  pid: number;
  command: string;
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    // It ended while we looked, or belongs to somebody else: in both cases not ours.
    if (error instanceof Error && "code" in error) return "";
    throw error;
  }
}

/**
 * Adds the namespaces of makers that live and are not of this run: if they die and leave them, that
 * is another run's failure.
 */
export function noteOthers(run: string, others: Set<string>): void {
  for (const name of namespaces()) {
    const environment = read(`/proc/${MADE_BY.exec(name)?.[1]}/environ`);
    if (environment !== "" && !isMarked(environment, run)) others.add(name);
  }
}

function isMarked(environment: string, run: string): boolean {
  return environment.split("\0").includes(`${RUN_VARIABLE}=${run}`);
}

export function processesOf(run: string): Process[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid)
    .filter((pid) => isMarked(read(`/proc/${pid}/environ`), run))
    .map((pid) => ({ pid, command: read(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim() }));
}

export function endProcesses(run: string): void {
  for (const { pid } of processesOf(run)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      const ended = error instanceof Error && "code" in error && error.code === "ESRCH";
      if (!ended) throw error;
    }
  }
}

/** New since `before`, and not of a run that is still going on: the name holds its maker's pid. */
function strayNamespaces(before: ReadonlySet<string>): string[] {
  return [...namespaces()].filter((name) => {
    const pid = MADE_BY.exec(name)?.[1];
    return !before.has(name) && !(pid !== undefined && existsSync(`/proc/${pid}`));
  });
}

/** One line per leftover. Those that are about to end get `graceMs`. */
export async function leftovers(
  run: string,
  before: ReadonlySet<string>,
  graceMs: number,
): Promise<string[]> {
  const deadline = performance.now() + graceMs;
  for (;;) {
    const processes = processesOf(run);
    const found = [
      ...processes.map(({ pid, command }) => `process ${pid}: ${command}`),
      ...strayNamespaces(before).map((name) => `network namespace ${name}`),
    ];
    if (found.length === 0 || performance.now() > deadline) return found;
    await Bun.sleep(50);
  }
}
