// Each tidy check against the smallest text it must refuse and the nearest it must accept.

import { describe, expect, test } from "bun:test";
import { lockFile, manifest, markdownLinks, markdownTitle } from "./tidy-docs.ts";
import { importsOf, isPure, layerImports } from "./tidy-layers.ts";
import { maskSource } from "./tidy-mask.ts";
import { fileLength, functionLengths, lineLengths, opening } from "./tidy-shape.ts";
import type { Finding } from "./tidy-tree.ts";
import { bannedWords } from "./tidy-words.ts";

const messages = (findings: Finding[]): string[] => findings.map((f) => f.message);
const body = (lines: number): string => "  step();\n".repeat(lines);

describe("masking", () => {
  test("blanks comments and literals and keeps every offset", () => {
    const text = `a("x // y"); // b\n/* c\n*/ d(\`e \${f("}")} g\`, /h"\\/[/]/);\n`;
    const { code, commentless } = maskSource(text);
    expect(code.length).toBe(text.length);
    expect(code.split("\n").length).toBe(text.split("\n").length);
    expect(code.replaceAll(/\s+/g, " ")).toBe('a(" "); d(` {f(" ")} `, / /); ');
    expect(commentless).toContain('"x // y"');
    expect(commentless).not.toContain("b");
  });

  test("takes a slash after a value for a division", () => {
    expect(maskSource("const x = a / b; f(c / d);").code).toBe("const x = a / b; f(c / d);");
  });

  test("an object inside a template does not end it", () => {
    expect(maskSource(`\`\${f({ a: 1 })} text\` + g`).code).toMatch(/^` {f\({ a: 1 }\)} +` \+ g$/);
  });
});

describe("sizes", () => {
  test("a line of 101 columns is refused, one of 100 is not", () => {
    const path = "src/events/x.ts";
    expect(lineLengths({ path, text: "x".repeat(101) })).toHaveLength(1);
    expect(lineLengths({ path, text: "x".repeat(100) })).toEqual([]);
    expect(lineLengths({ path: "README.md", text: "x".repeat(101) })).toEqual([]);
  });

  test("a file of 401 lines is refused, a table is not", () => {
    const text = "\n".repeat(401);
    expect(fileLength({ path: "src/events/x.ts", text })).toHaveLength(1);
    expect(fileLength({ path: "src/events/x.ts", text: "\n".repeat(400) })).toEqual([]);
    expect(fileLength({ path: "src/ffi/netlink/constants.ts", text })).toEqual([]);
  });

  test.each([
    ["a function", "function f(): void {\n", "}\n"],
    ["a method", "class A {\n  go(a: (b: number) => void): Map<string, A> {\n", "  }\n}\n"],
    ["an arrow", "const f = (a: number): number => {\n", "};\n"],
    ["a test", 'test("x", async () => {\n', "});\n"],
  ])("%s of more than 70 lines is refused", (_, head, tail) => {
    const path = "test/events/x.test.ts";
    expect(functionLengths({ path, text: head + body(70) + tail })).toHaveLength(1);
    expect(functionLengths({ path, text: head + body(68) + tail })).toEqual([]);
  });

  test.each([
    ["an object", "const table = {\n", "};\n", "  a: 1,\n"],
    ["a suite", 'describe("x", () => {\n', "});\n", "  step();\n"],
    ["a class", "class A {\n", "}\n", "  a = 1;\n"],
    ["a block", "if (a) {\n", "}\n", "  step();\n"],
  ])("%s may be longer", (_, head, tail, line) => {
    const text = head + line.repeat(90) + tail;
    expect(functionLengths({ path: "test/x.test.ts", text })).toEqual([]);
  });

  test("a contract suite may be longer, a function beside it may not", () => {
    const path = "test/support/contract-log.ts";
    const suite = `function contract() {\n${'  test("a", f);\n'.repeat(90)}}\n`;
    expect(functionLengths({ path, text: suite })).toEqual([]);
    expect(functionLengths({ path: "test/support/x.ts", text: suite })).toHaveLength(1);
    expect(functionLengths({ path, text: `function f() {\n${body(90)}}\n` })).toHaveLength(1);
  });

  test("a source file that does not open with a comment is refused", () => {
    const path = "src/events/x.ts";
    expect(opening({ path, text: "export const a = 1;\n" })).toHaveLength(1);
    expect(opening({ path, text: "//\nexport const a = 1;\n" })).toHaveLength(1);
    expect(opening({ path, text: "// One.\nexport const a = 1;\n" })).toEqual([]);
    expect(opening({ path: "scripts/x.sh", text: "#!/bin/sh\n# One.\n" })).toEqual([]);
  });
});

describe("banned words", () => {
  test.each([
    ["src/agent/x.ts", "const a = Date.now();"],
    ["src/agent/x.ts", "const a = new Date();"],
    ["src/agent/x.ts", "const a = performance.now();"],
    ["test/events/x.test.ts", "const a = Math.random();"],
    ["src/http/x.ts", "const a = b as any;"],
    ["src/http/x.ts", "// @ts-ignore"],
    ["src/http/x.ts", 'console.log("a");'],
    ["test/events/x.test.ts", 'test.only("a", () => {});'],
    ["test/events/x.test.ts", "await Bun.sleep(10);"],
    ["test/e2e/x.test.ts", "setTimeout(done, 10);"],
    ["docs/x.md", "FIXME"],
    ["src/http/x.ts", "// TODO later"],
    ["package-lock.json", '"https://registry.example.org/zod"'],
    ["README.md", "cd /home/me/heddle"],
    ["src/agent/x.ts", 'const dir = "/tmp/x";'],
    ["src/agent/x.ts", "// see DESIGN.md"],
  ])("%s: %s", (path, text) => {
    expect(bannedWords({ path, text })).toHaveLength(1);
  });

  test.each([
    ["src/main.ts", "const a = Date.now();"],
    ["src/events/x.ts", "const a = new Date(ms).toISOString();"],
    ["src/events/x.ts", "// Never Date.now() here.\nconst a = 'Math.random';"],
    ["src/cli/output.ts", 'console.log("a");'],
    ["test/support/until.ts", "await Bun.sleep(10);"],
    ["test/events/x.test.ts", "await sleep(clock, 10);"],
    ["src/http/x.ts", "// TODO(#12) later"],
    ["test/e2e/x.test.ts", 'const dir = "/tmp/x";'],
    ["src/agent/x.ts", "// Not somebody's /tmp."],
    ["src/agent/x.ts", 'import a from "../work/x";'],
  ])("not in %s: %s", (path, text) => {
    expect(messages(bannedWords({ path, text }))).toEqual([]);
  });
});

describe("layers", () => {
  test("every form of import is seen", () => {
    const text = [
      'import a from "./a.ts";',
      'import type { b } from "./b.ts";',
      'export { c } from "./c.ts";',
      'import {\n  d,\n} from "./d.ts";',
      'import "./e.ts";',
      'const f = await import("./f.ts");',
      'const text = "import x from y"; // import g from "./g.ts"',
      'export const h = "./h.ts";',
    ].join("\n");
    expect(importsOf(text).map((i) => i.specifier.slice(2, 3))).toEqual([..."abcdef"]);
  });

  test.each([
    ["src/events/x.ts", "../reconcilers/op.ts"],
    ["src/events/x.ts", "node:fs"],
    ["src/events/x.ts", "@nats-io/jetstream"],
    ["src/reconcilers/x.ts", "../ffi/libc.ts"],
    ["src/reconcilers/x.ts", "../agent/tail.ts"],
    ["src/agent/x.ts", "../ffi/libc.ts"],
    ["src/agent/x.ts", "bun:ffi"],
    ["src/http/x.ts", "../cli/x.ts"],
    ["src/cli/x.ts", "../main.ts"],
    ["src/cli/x.ts", "../../test/support/nats.ts"],
    ["src/ffi/x.ts", "../events/address.ts"],
    ["src/utils/x.ts", "./y.ts"],
  ])("%s may not import %s", (path, specifier) => {
    expect(layerImports({ path, text: `import "${specifier}";` })).toHaveLength(1);
  });

  test.each([
    ["src/events/x.ts", "./log.ts"],
    ["src/events/x.ts", "zod"],
    ["src/events/log-jetstream-x.ts", "@nats-io/jetstream"],
    ["src/reconcilers/x.ts", "../events/address.ts"],
    ["src/reconcilers/kernel-netlink-x.ts", "../ffi/libc.ts"],
    ["src/reconcilers/kernel-tunnel-x.ts", "../ffi/tunnel.ts"],
    ["src/agent/os-x.ts", "../ffi/libc.ts"],
    ["src/ffi/netlink/x.ts", "bun:ffi"],
    ["src/cli/x.ts", "../agent/tail.ts"],
    ["src/main.ts", "./ffi/libc.ts"],
  ])("%s may import %s", (path, specifier) => {
    expect(layerImports({ path, text: `import "${specifier}";` })).toEqual([]);
  });

  test("the loop is a shell and the diff is pure", () => {
    expect(isPure("src/reconcilers/loop.ts")).toBe(false);
    expect(isPure("src/reconcilers/diff.ts")).toBe(true);
    expect(isPure("src/agent/tail.ts")).toBe(false);
  });
});

describe("documents", () => {
  test("a page has exactly one title, and a fence is not one", () => {
    expect(markdownTitle({ path: "a.md", text: "# A\n```\n# b\n```\n" })).toEqual([]);
    expect(markdownTitle({ path: "a.md", text: "# A\n# B\n" })).toHaveLength(1);
    expect(markdownTitle({ path: "a.md", text: "text\n" })).toHaveLength(1);
  });

  test("a link to a file that is absent is dead", () => {
    const seen = (path: string): boolean => path === "docs/b.md";
    const text = "[b](b.md#x) [c](c.md) [d](https://example.org/c.md) [e](#f) `[g](h.md)`";
    expect(messages(markdownLinks({ path: "docs/a.md", text }, seen))).toEqual(["dead link: c.md"]);
  });

  test("a range and a missing script are refused", () => {
    const text = JSON.stringify({
      dependencies: { a: "^1.2.3", b: "1.2.3" },
      scripts: { c: "node scripts/c.mjs", d: "node scripts/d.mjs" },
    });
    const seen = (path: string): boolean => path === "scripts/d.mjs";
    expect(manifest({ path: "package.json", text }, seen)).toHaveLength(2);
  });

  test("a lock file that names an address or lacks a package is refused", () => {
    const lock = (entry: object): Finding[] =>
      lockFile({
        path: "package-lock.json",
        text: JSON.stringify({ packages: { "node_modules/a": entry } }, null, 2),
      });
    expect(lock({ version: "1.0.0" })).toEqual([]);
    expect(lock({ resolved: "x" })).toHaveLength(1);
    expect(lock({ optionalDependencies: { b: "1.0.0" } })).toHaveLength(1);
    expect(lock({ dependencies: { a: "1.0.0" } })).toEqual([]);
  });
});
