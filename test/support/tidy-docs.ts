// Markdown and package metadata: one title per page, links that lead somewhere, exact versions, a
// lock file that names no download address, and npm scripts whose files exist.

import { posix } from "node:path";
import type { Finding, SourceFile } from "./tidy-tree.ts";

type Exists = (path: string) => boolean;

function withoutFences(text: string): string[] {
  let fenced = false;
  return text.split("\n").map((line) => {
    const fence = /^\s*(```|~~~)/.test(line);
    if (fence) fenced = !fenced;
    return fence || fenced ? "" : line;
  });
}

export function markdownTitle({ path, text }: SourceFile): Finding[] {
  if (!path.endsWith(".md")) return [];
  const titles = withoutFences(text).filter((line) => line.startsWith("# ")).length;
  if (titles === 1) return [];
  return [{ path, line: 1, message: `${titles} lines "# Title", exactly one is wanted` }];
}

export function markdownLinks({ path, text }: SourceFile, exists: Exists): Finding[] {
  if (!path.endsWith(".md")) return [];
  return withoutFences(text).flatMap((line, i) =>
    [...line.replaceAll(/`[^`]*`/g, "").matchAll(/\]\(([^)\s]+)\)/g)].flatMap((match) => {
      const target = (match[1] ?? "").split("#")[0] ?? "";
      if (target === "" || /^[a-z]+:/.test(target)) return [];
      if (exists(posix.join(posix.dirname(path), target))) return [];
      return [{ path, line: i + 1, message: `dead link: ${target}` }];
    }),
  );
}

interface Manifest {
  scripts?: Record<string, string>;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
}

export function manifest({ path, text }: SourceFile, exists: Exists): Finding[] {
  if (path !== "package.json") return [];
  const pkg = JSON.parse(text) as Manifest;
  const findings: Finding[] = [];
  for (const [name, version] of Object.entries({ ...pkg.dependencies, ...pkg.devDependencies })) {
    if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)) {
      findings.push({ path, line: 0, message: `${name}: "${version}" is not an exact version` });
    }
  }
  for (const [name, command] of Object.entries(pkg.scripts ?? {})) {
    for (const word of command.split(/\s+/)) {
      if (!/^(scripts|bench|test|src|bin)\/[\w./-]+$/.test(word) || exists(word)) continue;
      findings.push({ path, line: 0, message: `script "${name}" names ${word}, which is absent` });
    }
  }
  return findings;
}

interface Lock {
  packages?: Record<string, Record<string, Record<string, string> | undefined>>;
}

/** npm leaves out optional packages that it could not find, and then `npm ci` refuses the file. */
function missingFromLock(text: string): string[] {
  const packages = (JSON.parse(text) as Lock).packages ?? {};
  const names = new Set(Object.keys(packages).map((path) => path.split("node_modules/").at(-1)));
  const wanted = Object.values(packages).flatMap((entry) =>
    Object.keys({ ...entry.dependencies, ...entry.optionalDependencies }),
  );
  return [...new Set(wanted)].filter((name) => !names.has(name));
}

export function lockFile({ path, text }: SourceFile): Finding[] {
  if (path !== "package-lock.json") return [];
  const incomplete = missingFromLock(text).map((name) => ({
    path,
    line: 0,
    message: `has no entry for ${name}: npm ci would refuse it`,
  }));
  const resolved = text.split("\n").flatMap((line, i) => {
    if (!/^\s*"resolved":/.test(line)) return [];
    return [{ path, line: i + 1, message: 'has "resolved": npm must be told to omit it (.npmrc)' }];
  });
  return [...incomplete, ...resolved];
}
