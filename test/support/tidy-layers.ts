// The one-way street of imports, a second time: biome.json denies what must not be imported, by
// the spelling of the specifier; this allows what may be, by the file it resolves to. A type-only
// import counts too: it is knowledge all the same.

import { posix } from "node:path";
import { maskSource } from "./tidy-mask.ts";
import type { Finding, SourceFile } from "./tidy-tree.ts";

const BELOW: Record<string, readonly string[]> = {
  ffi: ["ffi"],
  events: ["events"],
  reconcilers: ["events", "reconcilers"],
  agent: ["events", "reconcilers", "agent"],
  http: ["events", "reconcilers", "agent", "http", "web"],
  cli: ["events", "reconcilers", "agent", "http", "cli"],
  // Runs in the browser: what it takes from below is pure.
  web: ["events", "reconcilers", "web"],
  "main-agent.ts": ["events", "reconcilers", "agent", "cli", "ffi"],
  "main.ts": ["events", "reconcilers", "agent", "http", "cli", "ffi", "main-agent.ts"],
};

const MAY_USE_FFI = /^src\/(reconcilers\/kernel-(netlink|tunnel)[^/]*\.ts|agent\/os-[^/]*\.ts)$/;
/** Not pure, though in a pure layer; biome.json lists the same files. */
const SHELLS_BELOW = [
  /^src\/events\/(log-jetstream[^/]*|status-jetstream|nats-[^/]*)\.ts$/,
  /^src\/reconcilers\/(loop|kernel-(netlink|tunnel)[^/]*)\.ts$/,
];
/** Libraries that compute and nothing else. */
const PURE_LIBRARIES = new Set(["zod", "ipaddr.js"]);

export function isPure(path: string): boolean {
  return /^src\/(events|reconcilers)\//.test(path) && !SHELLS_BELOW.some((s) => s.test(path));
}

export function importsOf(text: string): { specifier: string; line: number }[] {
  const { commentless } = maskSource(text);
  const pattern = /\b(?:import|export)\b[^;"'`()]*?\bfrom\s*"([^"]+)"|\bimport\s*\(?\s*"([^"]+)"/g;
  return [...commentless.matchAll(pattern)].map((match) => ({
    specifier: match[1] ?? match[2] ?? "",
    line: commentless.slice(0, match.index).split("\n").length,
  }));
}

export function layerImports({ path, text }: SourceFile): Finding[] {
  const layer = /^src\/([^/]+)/.exec(path)?.[1];
  if (layer === undefined || !/\.tsx?$/.test(path)) return [];
  const below = BELOW[layer];
  if (below === undefined) return [{ path, line: 0, message: `src/${layer} is not a layer` }];
  return importsOf(text).flatMap(({ specifier, line }) => {
    const refusal = specifier.startsWith(".")
      ? refuseFile(path, below, specifier)
      : refusePackage(path, specifier);
    return refusal === null ? [] : [{ path, line, message: refusal }];
  });
}

function refuseFile(path: string, below: readonly string[], specifier: string): string | null {
  const target = posix.join(posix.dirname(path), specifier);
  // The version is read from package.json by whoever prints it.
  if (target === "package.json") return isPure(path) ? "pure code reads no file" : null;
  const layer = /^src\/([^/]+)/.exec(target)?.[1];
  if (layer === undefined) return `imports ${target}, which is not under src`;
  if (below.includes(layer) || (layer === "ffi" && MAY_USE_FFI.test(path))) return null;
  return `imports ${target}: ${layer} is not below`;
}

function refusePackage(path: string, specifier: string): string | null {
  if (specifier === "bun:ffi" && !path.startsWith("src/ffi/")) return "imports bun:ffi outside ffi";
  if (isPure(path) && !PURE_LIBRARIES.has(specifier)) return `pure, but imports ${specifier}`;
  return null;
}
