// bin/heddle: found from anywhere and through links, replaces itself by the program, and says what
// to do where nothing is set up; and what `npm run build` makes. The program is a stand-in, in a
// tree that only has what is needed.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import manifest from "../../package.json" with { type: "json" };
import { ROOT } from "../support/tidy-tree.ts";

let base = "";
let tree = "";
/** A directory with settings for Bun that are not ours. */
let stray = "";

beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), "heddle launcher "));
  tree = join(base, "tree");
  for (const path of ["bin/heddle", "scripts/find-bun.sh", "scripts/bun.sh"]) {
    cpSync(join(ROOT, path), join(tree, path));
  }
  mkdirSync(join(tree, "src"));
  const args = "[...process.argv.slice(2), ...(process.env.STRAY ?? [])]";
  const program = `console.log(JSON.stringify([process.pid, process.cwd(), ${args}]))`;
  writeFileSync(join(tree, "src/main.ts"), program);
  stray = join(base, "stray");
  mkdirSync(stray);
  writeFileSync(join(stray, "bunfig.toml"), 'preload = ["./stray.ts"]\n');
  writeFileSync(join(stray, "stray.ts"), 'process.argv.push("preloaded");');
  writeFileSync(join(stray, ".env"), "STRAY=x\n");
});

afterAll(() => rmSync(base, { recursive: true, force: true }));

function installBun(at: string): void {
  const path = join(tree, "node_modules", at);
  mkdirSync(join(path, ".."), { recursive: true });
  symlinkSync(process.execPath, path);
}

async function launch(command: string, cwd: string): Promise<unknown[]> {
  const child = Bun.spawn([command, "a b", "--c"], { cwd, stdout: "pipe", stderr: "pipe" });
  const [pid, where, args] = JSON.parse(await new Response(child.stdout).text()) as unknown[];
  return [pid === child.pid, where, args];
}

// One test, because each step builds on the tree of the one before.
test("says what to do first, then runs as the program itself from anywhere", async () => {
  const command = join(tree, "bin/heddle");
  const bare = Bun.spawnSync([command], { cwd: base });
  expect(bare.stderr.toString()).toBe(`heddle: not set up: run "npm run setup" in ${tree} first\n`);
  expect(bare.exitCode).toBe(1);

  // Install scripts were blocked: .bin/bun is a text, the binary is in its platform package.
  mkdirSync(join(tree, "node_modules/.bin"), { recursive: true });
  writeFileSync(join(tree, "node_modules/.bin/bun"), "echo stub\nexit 1\n", { mode: 0o755 });
  installBun(`@oven/bun-linux-${process.arch === "arm64" ? "aarch64" : "x64"}/bin/bun`);
  expect(await launch(command, base)).toEqual([true, base, ["a b", "--c"]]);

  rmSync(join(tree, "node_modules"), { recursive: true });
  installBun(".bin/bun");
  mkdirSync(join(base, "links"));
  symlinkSync(command, join(base, "links/absolute"));
  symlinkSync("absolute", join(base, "links/heddle"));
  expect(await launch(join(base, "links/heddle"), "/")).toEqual([true, "/", ["a b", "--c"]]);
  expect(await launch("./heddle", join(base, "links"))).toEqual([
    true,
    join(base, "links"),
    ["a b", "--c"],
  ]);
  expect(await launch(command, stray)).toEqual([true, stray, ["a b", "--c"]]);
});

test("the single-file program takes nothing from the directory it is started in", async () => {
  const built = join(base, "built");
  const [command = ""] = manifest.scripts.build.split(" build ")[1]?.split(" && ") ?? [];
  const build = command
    .split(" ")
    .map((flag) =>
      flag === "src/main.ts" ? join(tree, flag) : flag === "dist/heddle-program" ? built : flag,
    );
  const done = Bun.spawnSync([process.execPath, "build", ...build], { cwd: tree });
  expect(done.stderr.toString()).not.toContain("error");
  expect(await launch(built, stray)).toEqual([true, stray, ["a b", "--c"]]);
});
