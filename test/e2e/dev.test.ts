// `heddle dev` as its user meets it: what it prints works when copied, and whatever way it ends,
// nothing stays behind.

import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PROGRAM, until } from "../support/fabric.ts";
import { requireRoot } from "../support/netns.ts";
import { Stopwatch } from "../support/stopwatch.ts";

const running = new Set<Bun.Subprocess>();

afterAll(async () => {
  for (const dev of running) {
    dev.kill("SIGTERM");
    await dev.exited;
  }
});

interface Dev {
  readonly process: Bun.Subprocess<"ignore", "pipe", "pipe">;
  /** What it told, when its fabric stood. */
  readonly guide: string;
}

function spawnDev(...args: string[]): Dev["process"] {
  const options = { stdin: "ignore", stdout: "pipe", stderr: "pipe" } as const;
  const dev = Bun.spawn([...PROGRAM, "dev", ...args], options);
  running.add(dev);
  void dev.exited.then(() => running.delete(dev));
  return dev;
}

async function startDev(...args: string[]): Promise<Dev> {
  const dev = spawnDev(...args);
  let guide = "";
  for await (const chunk of dev.stdout) {
    guide += new TextDecoder().decode(chunk);
    if (guide.includes("Ctrl-C removes everything.")) return { process: dev, guide };
  }
  throw new Error(`dev ended: ${await new Response(dev.stderr).text()}`);
}

function namespacesOf(pid: number): readonly string[] {
  return readdirSync("/run/netns").filter((name) => name.startsWith(`hd${pid}-`));
}

function filesOf(pid: number): string {
  return join(tmpdir(), `heddle-hd${pid}`);
}

/** The agents and the server: its only children that live on. */
function childrenOf(pid: number): readonly number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  return text.trim().split(" ").map(Number);
}

function nameOf(pid: number): string {
  return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
}

function isGone(pid: number): boolean {
  // A zombie that nobody has waited for is gone as well.
  if (!existsSync(`/proc/${pid}/stat`)) return true;
  return /\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
}

const HEALED_MS = 5000;

/** One command breaks something: until it is put right, status ends with 1. */
function runUntilWell(command: string) {
  const watch = new Stopwatch();
  for (;;) {
    const done = Bun.spawnSync(["sh", "-c", command]);
    if (done.exitCode === 0 || watch.freeMs() > HEALED_MS) return done;
  }
}

function expectNothingLeft(pid: number): void {
  expect(namespacesOf(pid)).toEqual([]);
  expect(existsSync(filesOf(pid))).toBe(false);
}

describe.skipIf(!requireRoot("heddle dev"))("heddle dev", () => {
  test.each(["vxlan", "udp"])("its commands work when copied, over %s", async (backend) => {
    const { process: dev, guide } = await startDev("--hosts", "2", "--backend", backend);
    const commands = [...guide.matchAll(/^ {2}(\S.*)$/gm)].map(([, command]) => command ?? "");
    expect(commands.length).toBeGreaterThanOrEqual(6);
    for (const command of commands) {
      // Those that go on until they are stopped are made to end.
      const ending = command.replace(/ ping /, " ping -c1 -W2 ").replace(" --follow", "");
      const done = runUntilWell(ending);
      expect([ending, done.exitCode, done.stderr.toString()]).toEqual([ending, 0, ""]);
    }
    expect(namespacesOf(dev.pid)).toHaveLength(5);
    // Ctrl-C removes everything.
    dev.kill("SIGINT");
    expect(await dev.exited).toBe(0);
    expectNothingLeft(dev.pid);
  });

  test("killed, it takes agents and server with it, and the next one clears the rest", async () => {
    const { process: dev } = await startDev("--hosts", "2", "--backend", "host-gw");
    const children = childrenOf(dev.pid);
    expect(children.map(nameOf).filter((name) => name === "nats-server")).toHaveLength(1);
    expect(children).toHaveLength(3);
    dev.kill("SIGKILL");
    await dev.exited;
    await until("agents and server are gone", 5000, () => children.every(isGone));
    expect(namespacesOf(dev.pid)).toHaveLength(5);
    const { process: next } = await startDev("--hosts", "1");
    expectNothingLeft(dev.pid);
    next.kill("SIGTERM");
    expect(await next.exited).toBe(0);
    expectNothingLeft(next.pid);
  });

  test("without its server it ends, says why, and leaves nothing", async () => {
    const { process: dev } = await startDev("--hosts", "1");
    const server = childrenOf(dev.pid).find((pid) => nameOf(pid) === "nats-server");
    process.kill(server ?? 0, "SIGKILL");
    expect(await dev.exited).toBe(1);
    expect(await new Response(dev.stderr).text()).toContain("nats-server ended");
    expectNothingLeft(dev.pid);
  });

  test("told to stop while it rises, it leaves nothing", async () => {
    const dev = spawnDev("--hosts", "3");
    await until("it has begun", 10_000, () => namespacesOf(dev.pid).length >= 4);
    dev.kill("SIGTERM");
    await dev.exited;
    expectNothingLeft(dev.pid);
  });

  test("a wrong configuration is refused before anything is made", async () => {
    const dir = mkdtempSync(join(tmpdir(), "heddle-dev-test-"));
    try {
      const path = join(dir, "net.json");
      writeFileSync(path, '{"Network":"10.5.0.0/16","Nonsense":1}');
      const dev = spawnDev("--config", path);
      expect(await dev.exited).toBe(2);
      const said = await new Response(dev.stderr).text();
      expect(said.trim().split("\n")).toHaveLength(1);
      expect(said).toContain("Nonsense");
      expect(said).toContain(path);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});

describe.skipIf(!requireRoot("heddle dev, flat"))("heddle dev with a flat segment", () => {
  test.each([
    ["by hand", {}],
    ["by the agent", { Bridge: "br-flat" }],
  ])("its containers are joined to it, %s", async (_, bridge) => {
    const dir = mkdtempSync(join(tmpdir(), "heddle-dev-test-"));
    try {
      const path = join(dir, "net.json");
      const backend = { Mode: "multicast", Group: "239.1.1.1", ...bridge };
      writeFileSync(path, JSON.stringify({ Network: "10.5.0.0/16", Backend: backend }));
      const { process: dev, guide } = await startDev("--hosts", "2", "--config", path);
      const ping = /^ {2}(\S.* ping )(\S+)$/m.exec(guide);
      if (ping === null) throw new Error(guide);
      const command = `${ping[1]} -c1 -W2 ${ping[2]}`;
      await until(command, 10_000, () => Bun.spawnSync(["sh", "-c", command]).exitCode === 0);
      dev.kill("SIGINT");
      expect(await dev.exited).toBe(0);
      expectNothingLeft(dev.pid);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
