// Stopping a process between two of its instructions.

import { readdir, readFile } from "node:fs/promises";

/** Resolves when every thread has stopped: the signal takes its time with those that run. */
export async function freeze(pid: number): Promise<void> {
  process.kill(pid, "SIGSTOP");
  while (!(await isStopped(pid))) await new Promise((resolve) => setImmediate(resolve));
}

async function isStopped(pid: number): Promise<boolean> {
  const tasks = await readdir(`/proc/${pid}/task`);
  const stats = tasks.map((task) => readFile(`/proc/${pid}/task/${task}/stat`, "utf8"));
  return (await Promise.all(stats)).every((stat) => /\) T /.test(stat));
}
