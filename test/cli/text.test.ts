import { expect, test } from "bun:test";
import fc from "fast-check";
import { jsonText, printable } from "../../src/cli/output.ts";
import { cell, tableLines } from "../../src/cli/table.ts";

test("nothing that drives a terminal or reorders text is ever printed", () => {
  const nasty = ["\u001b[2J", "\u009b31m", "a\rb", "x\u202ey", "\u2028", "\u{e0041}", "tab\t"];
  const text = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom(...nasty));
  fc.assert(
    fc.property(text, (value) => {
      expect(printable(value)).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      const json = jsonText({ value });
      expect(json).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      expect(JSON.parse(json)).toEqual({ value });
    }),
  );
  expect(printable("plain, äöü 日本 €")).toBe("plain, äöü 日本 €");
  expect(printable("\u001b[31m")).toBe("\\u001b[31m");
});

test("columns are as wide as their widest cell and lines end without blanks", () => {
  const rows = [
    ["a", "10.5.0.0/16", ""],
    ["longer", cell(null), "x"],
  ];
  expect(tableLines(["N", "SUBNET", "E"], rows)).toEqual([
    "N       SUBNET       E",
    "a       10.5.0.0/16",
    "longer  -            x",
  ]);
});

test("a table may have more rows than a call takes arguments", () => {
  const rows = Array.from({ length: 1_000_000 }, () => ["a"]);
  expect(tableLines(["NODE"], rows)).toHaveLength(1_000_001);
});
