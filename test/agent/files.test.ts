// The agent's files on a real file system: whole, or as they were, and nothing beside them.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openFiles } from "../../src/agent/files.ts";

const MODULE = new URL("../../src/agent/files.ts", import.meta.url).pathname;

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "heddle-test-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

test("a snapshot is its owner's, subnet.env is for all, and both stand alone", async () => {
  const files = openFiles({ stateDir: join(dir, "state"), subnetFile: join(dir, "run", "env") });
  expect([await files.readSnapshot(), await files.readSubnetEnv()]).toEqual([null, null]);
  for (const text of ["first", "second"]) {
    await files.writeSnapshot(text);
    await files.writeSubnetEnv(text);
    expect([await files.readSnapshot(), await files.readSubnetEnv()]).toEqual([text, text]);
  }
  const modes = ["state/snapshot.json", "run/env"].map(
    async (path) => (await stat(join(dir, path))).mode & 0o777,
  );
  expect(await Promise.all(modes)).toEqual([0o600, 0o644]);
  expect(await readdir(join(dir, "state"))).toEqual(["snapshot.json"]);
  expect(await readdir(join(dir, "run"))).toEqual(["env"]);
});

test("a file that finds no room leaves the old one, and nothing of itself", async () => {
  await openFiles({ stateDir: dir, subnetFile: "" }).writeSnapshot("good");
  const code = `
    const { openFiles } = await import(${JSON.stringify(MODULE)});
    const files = openFiles({ stateDir: ${JSON.stringify(dir)}, subnetFile: "" });
    await files.writeSnapshot("x".repeat(1 << 20)).catch((error) => console.log(error.code));`;
  // Files of at most one block, and an error instead of a signal.
  const limited = "trap '' XFSZ; ulimit -f 1; exec \"$@\"";
  const child = Bun.spawn(["sh", "-c", limited, "sh", process.execPath, "-e", code], {
    stdout: "pipe",
  });
  expect((await new Response(child.stdout).text()).trim()).toBe("EFBIG");
  expect(await readdir(dir)).toEqual(["snapshot.json"]);
  expect(await readFile(join(dir, "snapshot.json"), "utf8")).toBe("good");
});
