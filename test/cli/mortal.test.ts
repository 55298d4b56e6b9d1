// What tests start ends with them.

import { test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../support/fabric.ts";
import { firstLine } from "../support/first-line.ts";

const LIMIT_MS = 5000;
const SUPPORT = join(import.meta.dir, "heddle.ts");

test("a heddle serve that a test started ends when the test's process is killed", async () => {
  const start = `
    const { spawnHeddle } = await import(${JSON.stringify(SUPPORT)});
    const nats = "nats://127.0.0.1:9";
    console.log(spawnHeddle(["serve", "--nats", nats, "--http", "127.0.0.1:0"]).pid);
    setInterval(() => undefined, 1000);`;
  const runner = Bun.spawn([process.execPath, "-e", start], { stdout: "pipe", stdin: "ignore" });
  const pid = Number(await firstLine(runner.stdout));
  // Until setpriv has made room for the program, its parent's death may still go unnoticed.
  const program = (): string => readFileSync(`/proc/${pid}/cmdline`, "utf8");
  await until("it runs", LIMIT_MS, () => !program().includes("--pdeathsig"));
  runner.kill("SIGKILL");
  await runner.exited;
  try {
    await until("gone", LIMIT_MS, async () => !existsSync(`/proc/${pid}`));
  } finally {
    if (existsSync(`/proc/${pid}`)) process.kill(pid, "SIGKILL");
  }
});
