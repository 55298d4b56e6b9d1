import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "..", "..");
/** What an agent's start asks for, one after the other (main.ts, cli/agent.ts, main-agent.ts). */
const ENTRIES = [
  "src/main.ts",
  "src/agent/os-early-tunnel.ts",
  "src/agent/os-kept-tunnel.ts",
  "src/cli/program.ts",
  "src/cli/agent.ts",
  "src/main-agent.ts",
  "src/events/log-jetstream.ts",
];

const transpiler = new Bun.Transpiler({ loader: "ts" });

/** All that is evaluated with `entry`: static imports, without those of types alone. */
function evaluated(entry: string, seen = new Map<string, string>(), by = ""): Map<string, string> {
  if (seen.has(entry)) return seen;
  seen.set(entry, by);
  if (!entry.startsWith("src/")) return seen;
  for (const { kind, path } of transpiler.scanImports(readFileSync(join(ROOT, entry), "utf8"))) {
    if (kind !== "import-statement") continue;
    const target = path.startsWith(".") ? join(entry, "..", path) : path;
    evaluated(target, seen, entry);
  }
  return seen;
}

test.each(ENTRIES)("%s makes no schema: fifty agents that start wait for each other", (entry) => {
  const modules = evaluated(entry);
  expect(modules.has(entry)).toBe(true);
  expect(modules.get("zod")).toBeUndefined();
});

test("a schema would be noticed", () => {
  expect(evaluated("src/events/event-schema.ts").get("zod")).toBe("src/events/event-schema.ts");
});
