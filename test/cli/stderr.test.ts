import { expect, test } from "bun:test";

const OUTPUT = new URL("../../src/cli/output.ts", import.meta.url).pathname;

test("a program whose stderr is closed goes on", async () => {
  const script = `
    const { standardOutput } = await import("${OUTPUT}");
    const out = standardOutput();
    for (let i = 0; i < 3; i++) { out.note("lost"); await Bun.sleep(20); }
    out.line("alive");`;
  // The reader of the pipe on fd 2 ends before anything is written.
  const shell = `{ "$0" -e "$1" 2>&1 >&3 | true; } 3>&1`;
  const child = Bun.spawn(["bash", "-c", shell, process.execPath, script], { stdout: "pipe" });
  expect(await new Response(child.stdout).text()).toBe("alive\n");
});
