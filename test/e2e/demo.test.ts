// The demo as a newcomer runs it: it ends well and in time, its table tells what was shown, it
// fits a usual terminal, and nothing is left of it.

import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requireRoot } from "../support/netns.ts";
import { Stopwatch } from "../support/stopwatch.ts";

const DEMO = join(import.meta.dir, "..", "..", "scripts", "demo.ts");
const LIMIT_MS = 60_000;

interface Shown {
  readonly pid: number;
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function demo(...args: string[]): Promise<Shown> {
  const options = { stdin: "ignore", stdout: "pipe", stderr: "pipe" } as const;
  const child = Bun.spawn([process.execPath, DEMO, ...args], options);
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { pid: child.pid, code, out, err };
}

describe.skipIf(!requireRoot("the demo"))("the demo", () => {
  test.each(["vxlan", "udp"])("shows all it promises over %s, and leaves nothing", async (type) => {
    const watch = new Stopwatch();
    const { pid, code, out, err } = await demo("--backend", type);
    expect([code, err, code === 0 ? "" : out]).toEqual([0, "", ""]);
    expect(watch.freeMs()).toBeLessThan(LIMIT_MS);
    const table = out.slice(out.lastIndexOf("\n== "));
    for (const row of [
      /3 agents started together are all ready after +\d+ ms/,
      /container pairs that ping +6 of 6/,
      /a deleted route is back after +\d+ ms/,
      /packets lost while the agent was dead +0 of 50000/,
      /a host that leaves is withdrawn everywhere after +\d+ ms/,
      /replayed kernel compared with the host's own +identical/,
      /the past is shown as of +\d{4}-/,
    ]) {
      expect(table).toMatch(row);
    }
    expect(out.split("\n").filter((line) => line.length > 100)).toEqual([]);
    expect(readdirSync("/run/netns").filter((name) => name.startsWith(`hd${pid}-`))).toEqual([]);
    expect(existsSync(join(tmpdir(), `heddle-hd${pid}`))).toBe(false);
  });

  test("refuses a backend it does not know, in one line", async () => {
    const { code, out, err } = await demo("--backend", "carrier-pigeon");
    expect([code, out]).toEqual([2, ""]);
    expect(err).toBe("demo: --backend carrier-pigeon: expected vxlan, host-gw or udp\n");
  });
});
