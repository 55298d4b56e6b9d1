// The house rules, checked over every file of the checkout. Each checker has its own small test in
// test/support/tidy-checkers.test.ts, so that a rule cannot pass because it looks at nothing.

import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { lockFile, manifest, markdownLinks, markdownTitle } from "./support/tidy-docs.ts";
import { layerImports } from "./support/tidy-layers.ts";
import { fileLength, functionLengths, lineLengths, opening } from "./support/tidy-shape.ts";
import { type Finding, filesUnder, ROOT, report, type SourceFile } from "./support/tidy-tree.ts";
import { bannedWords } from "./support/tidy-words.ts";

const files = filesUnder(ROOT);
const exists = (path: string): boolean => existsSync(join(ROOT, path));

function expectNone(check: (file: SourceFile) => Finding[]): void {
  expect(report(files.flatMap(check))).toEqual([]);
}

test("the checks see the tree", () => {
  const paths = new Set(files.map((file) => file.path));
  for (const path of ["package.json", "package-lock.json", "bin/heddle", "src/events/log.ts"]) {
    expect(paths.has(path)).toBe(true);
  }
});

test("no line is longer than 100 columns", () => expectNone(lineLengths));
test("no function is longer than 70 lines", () => expectNone(functionLengths));
test("no file is longer than 400 lines", () => expectNone(fileLength));
test("every file opens by saying what it owns", () => expectNone(opening));
test("no banned word", () => expectNone(bannedWords));
test("imports go one way", () => expectNone(layerImports));
test("every page has one title", () => expectNone(markdownTitle));
test("no dead link", () => expectNone((file) => markdownLinks(file, exists)));
test("versions are exact and npm scripts name files", () =>
  expectNone((file) => manifest(file, exists)));
test("the lock file is complete and names no download address", () => expectNone(lockFile));
