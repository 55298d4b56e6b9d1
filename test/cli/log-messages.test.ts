// The table of log lines in docs/operations.md is what the program says: people and machines search
// for these words.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";

const ROOT = new URL("../../", import.meta.url);

/** `level msg`, once for each call. */
function saidBySources(): readonly string[] {
  const files = [...new Bun.Glob("src/**/*.ts").scanSync(ROOT.pathname)];
  return files.flatMap((file) => {
    const text = readFileSync(new URL(file, ROOT), "utf8");
    const calls = text.matchAll(/\blogger\.(info|warn|error)\(\s*"([^"]+)"/g);
    return Array.from(calls, ([, level = "", message = ""]) => {
      return `${level.replace("warn", "warning")} ${message}`;
    });
  });
}

function toldByGuide(): readonly string[] {
  const text = readFileSync(new URL("docs/operations.md", ROOT), "utf8");
  const rows = text.matchAll(/^\| `([^`]+)` \| (info|warning|error) \|/gm);
  return Array.from(rows, ([, message = "", level = ""]) => `${level} ${message}`);
}

test("every line that the program logs is in the guide, with its level", () => {
  const said = [...new Set(saidBySources())];
  expect(said.length).toBeGreaterThan(20);
  expect(toldByGuide().toSorted()).toEqual(said.toSorted());
});
