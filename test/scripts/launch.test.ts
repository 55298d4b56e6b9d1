// The way into the compiled program (native/launch.c), and what it and bin/heddle give the engine
// of an agent. The program is a stand-in that runs on the real engine, which refuses options that
// it does not know, and tells what it was given.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../support/tidy-tree.ts";

const AGENT_OPTIONS = {
  BUN_GC_TIMER_DISABLE: "1",
  BUN_JSC_percentCPUPerMBForEdenTimer: "0.0001",
  BUN_JSC_smallHeapSize: "8388608",
  BUN_JSC_useFTLJIT: "0",
};
const STAND_IN = `
const options = Object.entries(process.env).filter(([name]) => name.startsWith("BUN_"));
const args = process.argv.slice(2);
console.log(JSON.stringify({ pid: process.pid, args, options: Object.fromEntries(options) }));
`;

let base = "";
let compiled = "";
let source = "";

beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), "heddle launch "));
  for (const path of ["bin/heddle", "scripts/find-bun.sh"]) {
    cpSync(join(ROOT, path), join(base, path));
  }
  for (const dir of ["src", "node_modules/.bin", "installed", "bare"]) {
    mkdirSync(join(base, dir), { recursive: true });
  }
  const main = join(base, "src/main.ts");
  writeFileSync(main, STAND_IN);
  symlinkSync(process.execPath, join(base, "node_modules/.bin/bun"));
  source = join(base, "bin/heddle");

  for (const dir of ["installed", "bare"]) {
    cpSync(join(ROOT, "native/build/launch"), join(base, dir, "heddle"));
  }
  const program = `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`;
  writeFileSync(join(base, "installed/heddle-program"), program, { mode: 0o755 });
  compiled = join(base, "installed/heddle");
});

afterAll(() => rmSync(base, { recursive: true, force: true }));

/** What the stand-in tells, and whether it is the very process that was started. */
async function start(command: readonly string[], env: Record<string, string> = {}) {
  const { PATH = "" } = process.env;
  const child = Bun.spawn([...command], { cwd: base, env: { PATH, ...env }, stdout: "pipe" });
  const { pid, args, options } = JSON.parse(await new Response(child.stdout).text());
  return { same: pid === child.pid, args, options };
}

test("an agent's engine gets its options, whichever way it is started", async () => {
  const args = ["agent", "--node", "a b", ""];
  const told = { same: true, args, options: AGENT_OPTIONS };
  expect(await start([compiled, ...args])).toEqual(told);
  expect(await start([source, ...args])).toEqual(told);
});

test("other commands get none", async () => {
  for (const way of [compiled, source]) {
    expect(await start([way])).toEqual({ same: true, args: [], options: {} });
    const args = ["serve", "agent"];
    expect(await start([way, ...args])).toEqual({ same: true, args, options: {} });
  }
});

test("what the operator set himself stays", async () => {
  const own = { BUN_JSC_smallHeapSize: "1048576", BUN_GC_TIMER_DISABLE: "" };
  for (const way of [compiled, source]) {
    const { options } = await start([way, "agent"], own);
    expect(options).toEqual({ ...AGENT_OPTIONS, ...own });
  }
});

test("the program is found through links and through PATH", async () => {
  mkdirSync(join(base, "links"));
  symlinkSync("../installed/heddle", join(base, "links/relative"));
  symlinkSync("relative", join(base, "links/twice"));
  const told = { same: true, args: ["status"], options: {} };
  expect(await start(["links/twice", "status"])).toEqual(told);
  const child = Bun.spawn(["sh", "-c", 'cd / && exec heddle "$@"', "sh", "status"], {
    env: { PATH: `${join(base, "installed")}:${process.env.PATH}` },
    stdout: "pipe",
  });
  expect(JSON.parse(await new Response(child.stdout).text()).args).toEqual(["status"]);
});

test("without the program one line says what is missing", () => {
  const { exitCode, stderr } = Bun.spawnSync([join(base, "bare/heddle"), "agent"]);
  const path = join(base, "bare/heddle-program");
  const said = `heddle: ${path}: No such file or directory; install it beside heddle\n`;
  expect([exitCode, stderr.toString()]).toEqual([1, said]);
});
