// The files of the checkout as the tidy checks see them: path from the root with forward slashes,
// and text. It walks the tree and does not ask git, because a copy without git must pass as well.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface SourceFile {
  path: string;
  text: string;
}

export interface Finding {
  path: string;
  /** From 1; 0 when the whole file is meant. */
  line: number;
  message: string;
}

export const ROOT = join(import.meta.dir, "..", "..");

const SKIPPED_DIRS = new Set(["node_modules", ".git", "dist", "fixtures", ".heddle"]);
const TEXT = /\.(ts|mjs|sh|c|h|md|json|toml|service|yml|yaml)$|^(bin\/heddle|\.ci\/run)$|Makefile$/;

export function filesUnder(root: string): SourceFile[] {
  const files: SourceFile[] = [];
  const visit = (dir: string): void => {
    for (const entry of readdirSync(join(root, dir), { withFileTypes: true })) {
      const path = dir === "" ? entry.name : `${dir}/${entry.name}`;
      if (entry.isDirectory() && !SKIPPED_DIRS.has(entry.name)) visit(path);
      if (entry.isFile() && TEXT.test(path)) {
        files.push({ path, text: readFileSync(join(root, path), "utf8") });
      }
    }
  };
  visit("");
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** One line per finding, so that a failing test reads like a compiler. */
export function report(findings: readonly Finding[]): string[] {
  return findings.map((f) => `${f.path}:${f.line} ${f.message}`);
}
