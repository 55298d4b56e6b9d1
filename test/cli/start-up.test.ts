// What is loaded before a command is known decides how fast every command starts.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { heddle, lines } from "./heddle.ts";

const SRC = fileURLToPath(new URL("../../src", import.meta.url));

/** Everything that `file` imports statically, directly or not: our files and packages. */
function loadedBy(file: string, seen = new Set<string>()): ReadonlySet<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  const loader = file.endsWith(".ts") ? "ts" : "json";
  if (loader === "json") return seen;
  for (const { path, kind } of new Bun.Transpiler({ loader }).scanImports(readFileSync(file))) {
    if (kind !== "import-statement") continue;
    if (path.startsWith(".")) loadedBy(resolve(dirname(file), path), seen);
    else seen.add(path);
  }
  return seen;
}

function packages(file: string): readonly string[] {
  return [...loadedBy(resolve(SRC, file))].filter((path) => !path.startsWith("/")).sort();
}

test("starting the program loads no schema library and no NATS client", () => {
  expect(packages("main.ts")).toEqual(["node:os"]);
  expect(packages("cli/program.ts")).toEqual(["commander", "ipaddr.js"]);
});

test("a tunnel that is to carry at once waits for no command line, no schema and no client", () => {
  const own = (name: string): boolean => name.startsWith("node:") || name.startsWith("bun:");
  const foreign = (file: string) => packages(file).filter((name) => !own(name));
  expect(foreign("agent/os-early-tunnel.ts")).toEqual([]);
  expect(packages("agent/os-early-tunnel.ts")).not.toContain("bun:ffi");
  expect(foreign("agent/os-kept-tunnel.ts")).toEqual(["ipaddr.js"]);
});

test("status, which health probes call, needs nothing more", () => {
  expect(packages("cli/status.ts")).toEqual(["node:fs"]);
});

test("an agent's start needs no HTTP library", () => {
  expect(packages("cli/agent.ts").filter((path) => path.startsWith("hono"))).toEqual([]);
});

test("--version is the package's, --help has examples and the exit codes", async () => {
  const { version } = await import("../../package.json");
  expect((await heddle(["--version"])).out).toBe(`${version}\n`);
  const help = await heddle(["--help"]);
  expect(help.code).toBe(0);
  expect(help.out).toContain("Exit codes: 0 ok, 1 degraded or failed, 2 usage, 3 agent or log");
  for (const command of ["init", "agent", "events", "peer add", "doctor", "completion"]) {
    const { out, code, err } = await heddle([...command.split(" "), "--help"]);
    expect({ command, code, err }).toEqual({ command, code: 0, err: "" });
    expect(out).toContain(`Examples:\n  $ heddle ${command}`);
    for (const line of lines(out)) expect(line.length).toBeLessThanOrEqual(100);
  }
});
