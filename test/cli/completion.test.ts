// Completion scripts are run, not only read: each shell is asked what it would offer.

import { expect, test } from "bun:test";
import { basename } from "node:path";
import { offered, requireShell, type Shell } from "../support/shells.ts";
import { heddle } from "./heddle.ts";

/** zsh reads all its functions anew for each line. */
const SHELLS: readonly Shell[] = ["bash", "zsh", "fish"];

for (const shell of SHELLS) {
  test.skipIf(!requireShell(shell))(`${shell} offers what exists at that place`, async () => {
    const { out: script, code } = await heddle(["completion", shell]);
    expect(code).toBe(0);
    const at = (line: string): Promise<readonly string[]> => offered(shell, script, line);
    // fish offers flags once a dash is typed.
    const help = shell === "fish" ? [] : ["--help"];
    expect(await at("heddle sta")).toEqual(["state", "status"]);
    expect(await at("heddle peer ")).toEqual([...help, "add", "remove"]);
    expect(await at("heddle peer add --vt")).toEqual(["--vtep-mac"]);
    const lease = ["--lease-renew-margin", "--lease-ttl"];
    expect(await at("heddle --fabric x agent --lease")).toEqual(lease);
    expect(await at("heddle --nats nats://x sta")).toEqual(["state", "status"]);
    expect(await at("heddle --creds x peer re")).toEqual(["remove"]);
    expect(await at("heddle completion --")).toEqual(["--help"]);
    for (const flag of ["agent --creds", "serve --audit-key", "agent --http-tls-key"]) {
      const files = await at(`heddle ${flag} /etc/hostna`);
      expect([flag, files.map((file) => basename(file))]).toEqual([flag, ["hostname"]]);
    }
  });
}

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
