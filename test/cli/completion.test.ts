// Completion scripts are run, not only read: bash is asked what it would offer.

import { expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { heddle, lines } from "./heddle.ts";

async function offered(script: string, words: readonly string[]): Promise<readonly string[]> {
  const dir = await mkdtemp(join(tmpdir(), "heddle-completion-"));
  try {
    await writeFile(join(dir, "heddle.bash"), script);
    const driver =
      '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _heddle; ' +
      `printf '%s\\n' "\${COMPREPLY[@]}"`;
    const child = Bun.spawn(["bash", "-c", driver, join(dir, "heddle.bash"), ...words]);
    const text = await new Response(child.stdout).text();
    expect(await child.exited).toBe(0);
    return lines(text).filter(Boolean);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

test("bash completes commands, commands below them, and the flags of each", async () => {
  const { out: script, code } = await heddle(["completion", "bash"]);
  expect(code).toBe(0);
  expect(await offered(script, ["heddle", "sta"])).toEqual(["state", "status"]);
  expect(await offered(script, ["heddle", "peer", ""])).toEqual(["add", "remove", "--help"]);
  expect(await offered(script, ["heddle", "peer", "add", "--vt"])).toEqual(["--vtep-mac"]);
  const agent = await offered(script, ["heddle", "--fabric", "x", "agent", "--lease"]);
  expect(agent).toEqual(["--lease-ttl", "--lease-renew-margin"]);
  expect(await offered(script, ["heddle", "completion", "--"])).toEqual(["--help"]);
});

test("every command of --help is in every script", async () => {
  const { out: help } = await heddle(["--help"]);
  const commands = [...help.matchAll(/^ {2}([a-z]+)(?: \[| <| {2,})/gm)].map(([, name]) => name);
  expect(commands).toContain("replay");
  for (const shell of ["bash", "zsh", "fish"]) {
    const { out: script } = await heddle(["completion", shell]);
    for (const name of commands.filter((name) => name !== "help")) {
      expect(script).toMatch(new RegExp(`\\b${name}\\b`));
    }
  }
});

test("the scripts parse in their shells", async () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    if (Bun.which(shell) === null) continue;
    const { out: script } = await heddle(["completion", shell]);
    const child = Bun.spawn([shell, "-n"], { stdin: new TextEncoder().encode(script) });
    expect([shell, await child.exited]).toEqual([shell, 0]);
  }
});
