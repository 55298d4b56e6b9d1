// What tests start ends with them.

import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { until } from "../support/fabric.ts";

const SUPPORT = join(import.meta.dir, "heddle.ts");

test("a heddle serve that a test started ends when the test's process is killed", async () => {
  const start = `
    const { spawnHeddle } = await import(${JSON.stringify(SUPPORT)});
    const nats = "nats://127.0.0.1:9";
    console.log(spawnHeddle(["serve", "--nats", nats, "--http", "127.0.0.1:0"]).pid);
    setInterval(() => undefined, 1000);`;
  const runner = Bun.spawn([process.execPath, "-e", start], { stdout: "pipe", stdin: "ignore" });
  const { value } = await runner.stdout.getReader().read();
  const pid = Number(new TextDecoder().decode(value));
  expect(existsSync(`/proc/${pid}`)).toBeTrue();
  runner.kill("SIGKILL");
  await runner.exited;
  try {
    await until("gone", 5000, async () => !existsSync(`/proc/${pid}`));
  } finally {
    if (existsSync(`/proc/${pid}`)) process.kill(pid, "SIGKILL");
  }
});
