// biome.json refuses what it should: every rule of layers and purity against one file that breaks
// it and one that does not. One run of Biome over a temporary tree with our configuration.

import { expect, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ROOT } from "./tidy-tree.ts";

interface Case {
  path: string;
  line: string;
  /** The rule that must speak, or null for silence. */
  rule: "noRestrictedImports" | "noRestrictedGlobals" | "noConsole" | null;
}

let names = 0;
const from = (specifier: string): string => `export type { A as A${names++} } from "${specifier}";`;
const refused = (path: string, specifier: string): Case => {
  return { path, line: from(specifier), rule: "noRestrictedImports" };
};
const accepted = (path: string, specifier: string): Case => {
  return { path, line: from(specifier), rule: null };
};
const global = (path: string, name: string): Case => {
  return { path, line: `export const a${names++} = ${name};`, rule: "noRestrictedGlobals" };
};

const CASES: readonly Case[] = [
  ...["reconcilers/op.ts", "agent/x.ts", "http/x.ts", "cli/x.ts", "main.ts", "ffi/libc.ts"].flatMap(
    (above) => [refused("events", `../${above}`), refused("events/log-jetstream-z", `../${above}`)],
  ),
  ...["agent/x.ts", "http/x.ts", "cli/x.ts", "main.ts", "ffi/libc.ts"].flatMap((above) => [
    refused("reconcilers", `../${above}`),
    refused("reconcilers/loop", `../${above}`),
  ]),
  ...["http/x.ts", "cli/x.ts", "main.ts", "ffi/libc.ts"].map((a) => refused("agent", `../${a}`)),
  ...["cli/x.ts", "main.ts", "ffi/libc.ts"].map((a) => refused("http", `../${a}`)),
  ...["main.ts", "ffi/libc.ts", "../test/support/x.ts"].map((a) => refused("cli", `../${a}`)),
  ...["events/x.ts", "reconcilers/x.ts", "agent/x.ts"].map((a) => refused("ffi", `../${a}`)),
  refused("reconcilers/kernel-netlink-z", "../agent/x.ts"),
  refused("reconcilers/kernel-tunnel-z", "../agent/x.ts"),
  refused("agent/os-z", "../http/x.ts"),
  ...["bun", "bun:sqlite", "node:fs", "@nats-io/jetstream", "hono", "@logtape/logtape"].flatMap(
    (library) => [refused("events", library), refused("reconcilers", library)],
  ),
  ...["agent", "agent/os-z", "http", "cli", "reconcilers/loop", "events/log-jetstream-z"].map(
    (path) => refused(path, "bun:ffi"),
  ),
  refused("main", "bun:ffi"),
  ...["process", "Bun", "performance", "setTimeout", "setInterval", "setImmediate", "crypto"].map(
    (name) => global("events", name),
  ),
  ...["queueMicrotask", "fetch", "WebSocket", "Worker", "console", "require", "globalThis"].map(
    (name) => global("reconcilers", name),
  ),
  { path: "agent", line: "console.log(1);", rule: "noConsole" },
  accepted("events", "zod"),
  accepted("events/log-jetstream-z", "@nats-io/jetstream"),
  accepted("events/nats-connect", "node:fs"),
  accepted("events/status-jetstream", "@nats-io/jetstream"),
  accepted("reconcilers", "../events/address.ts"),
  accepted("reconcilers/kernel-netlink-z", "../ffi/libc.ts"),
  accepted("reconcilers/kernel-tunnel-z", "../ffi/tunnel.ts"),
  accepted("agent", "node:fs"),
  accepted("agent/os-z", "../ffi/libc.ts"),
  accepted("http", "../agent/x.ts"),
  accepted("cli", "../http/x.ts"),
  accepted("ffi", "bun:ffi"),
  accepted("main", "./ffi/libc.ts"),
  { path: "events", line: "export const b = new Date(1).toISOString();", rule: null },
  { path: "events/log-jetstream-z", line: "export const b = setTimeout;", rule: null },
  { path: "reconcilers/loop", line: "export const b = performance;", rule: null },
];

/** "events" stands for any file of the layer; a path with a slash is that very file. */
function fileOf(path: string): string {
  return path.includes("/") || path === "main" ? `src/${path}.ts` : `src/${path}/any.ts`;
}

interface Diagnostic {
  category: string;
  location: { path: string; start: { line: number } };
}

/** What Biome says, as "file:line rule". All cases of one path are lines of one file. */
function lint(root: string): string[] {
  const files = Map.groupBy(CASES, (one) => fileOf(one.path));
  for (const [file, cases] of files) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), cases.map((one) => `${one.line}\n`).join(""));
  }
  const biome = join(ROOT, "node_modules", ".bin", "biome");
  const args = ["lint", "--reporter=json", "--max-diagnostics=none", "."];
  const { stdout } = Bun.spawnSync([biome, ...args], { cwd: root });
  const { diagnostics } = JSON.parse(stdout.toString()) as { diagnostics: Diagnostic[] };
  return diagnostics.map((d) => {
    return `${d.location.path}:${d.location.start.line} ${d.category.split("/").at(-1)}`;
  });
}

test("every rule of layers and purity is enforced, and nothing more", () => {
  const root = mkdtempSync(join(tmpdir(), "heddle-biome-"));
  try {
    copyFileSync(join(ROOT, "biome.json"), join(root, "biome.json"));
    writeFileSync(join(root, ".gitignore"), "dist/\n");
    const lines = new Map<string, number>();
    const wanted = CASES.flatMap((one) => {
      const file = fileOf(one.path);
      const line = (lines.get(file) ?? 0) + 1;
      lines.set(file, line);
      return one.rule === null ? [] : [`${file}:${line} ${one.rule}`];
    });
    const shown = lint(root).filter((said) => /no(Restricted|Console)/.test(said));
    expect(shown.toSorted()).toEqual(wanted.toSorted());
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});
