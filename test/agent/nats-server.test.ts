// The child nats-server: ready when it says so, honest when it cannot start, never an orphan.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type NatsServer, startNatsServer } from "../../src/agent/nats-server.ts";
import { connectLog } from "../../src/events/log-jetstream.ts";

const MODULE = new URL("../../src/agent/nats-server.ts", import.meta.url).pathname;

let dir: string;
let servers: NatsServer[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "heddle-test-"));
  servers = [];
});
afterEach(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  await rm(dir, { recursive: true, force: true });
});

async function start(listen?: string): Promise<NatsServer> {
  const storeDir = join(dir, `store-${servers.length}`);
  const server = await startNatsServer(listen === undefined ? { storeDir } : { storeDir, listen });
  servers.push(server);
  return server;
}

test("is ready for a stream as soon as it has started", async () => {
  const { url } = await start();
  const connection = await connectLog({ servers: url, fabric: "t" });
  await connection.createStream(1);
  expect((await connection.log.info()).lastSeq).toBe(0);
  await connection.close();
});

test("chooses a port of its own on the loopback, for each server another", async () => {
  const urls = [(await start()).url, (await start()).url];
  expect(urls[0]).toMatch(/^nats:\/\/127\.0\.0\.1:\d+$/);
  expect(urls[0]).not.toBe(urls[1]);
});

test("stops when told, and leaves only its store", async () => {
  const server = await start();
  // Nothing to clean up even while it runs: a killed parent leaves nothing behind.
  expect(await leftovers()).toHaveLength(0);
  await server.stop();
  await server.stop();
  expect(await isRunning(server.pid)).toBeFalse();
  expect(await leftovers()).toEqual([]);
  expect(await readdir(dir)).toEqual(["store-0"]);
});

test("tells the server's own reason when the port is taken", async () => {
  const listen = new URL((await start()).url).host;
  const failure = await start(listen).catch((error: unknown) => error);
  expect(failure).toHaveProperty("name", "NatsServerError");
  expect(failure).toHaveProperty("message", expect.stringContaining("address already in use"));
  expect(failure).toHaveProperty("message", expect.not.stringContaining("\n"));
});

test("tells the server's own reason when the store cannot be made", async () => {
  await writeFile(join(dir, "store-0"), "");
  const failure = await start().catch((error: unknown) => error);
  expect(failure).toHaveProperty("name", "NatsServerError");
  expect(failure).toHaveProperty("message", expect.stringContaining("storage"));
});

test("says how it ended when somebody else kills it", async () => {
  const server = await start();
  process.kill(server.pid, "SIGTERM");
  expect((await server.exited).lastLine).not.toBe("");
  expect(await isRunning(server.pid)).toBeFalse();
});

test("ends with its parent, even when that is killed -9", async () => {
  const script = join(dir, "parent.ts");
  await writeFile(
    script,
    `import { startNatsServer } from ${JSON.stringify(MODULE)};
    const { pid } = await startNatsServer({ storeDir: ${JSON.stringify(join(dir, "store"))} });
    process.stdout.write(pid + "\\n");
    setInterval(() => undefined, 1000);`,
  );
  const parent = Bun.spawn([process.execPath, script], { stdout: "pipe" });
  const pid = await firstNumber(parent.stdout);
  expect(await isRunning(pid)).toBeTrue();
  parent.kill("SIGKILL");
  await parent.exited;
  while (await isRunning(pid)) await new Promise((resolve) => setImmediate(resolve));
});

async function firstNumber(stdout: ReadableStream<Uint8Array>): Promise<number> {
  let text = "";
  for await (const chunk of stdout) {
    text += new TextDecoder().decode(chunk);
    if (text.includes("\n")) return Number.parseInt(text, 10);
  }
  throw new Error(`the parent ended: ${text}`);
}

/** A zombie has ended. */
async function isRunning(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return stat.includes("nats-server") && !/\) Z /.test(stat);
}

/** Configuration directories of servers whose store is in this test's directory. */
async function leftovers(): Promise<string[]> {
  const names: string[] = [];
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith("heddle-nats-")) continue;
    const config = join(tmpdir(), name, "server.conf");
    if ((await readFile(config, "utf8").catch(() => "")).includes(dir)) names.push(name);
  }
  return names;
}

test("a server that dies between two of its words keeps nobody waiting", async () => {
  const stub = join(dir, "nats-server");
  const lines = ["#!/bin/sh", 'echo "[1] [INF] Server is ready" >&2', "exit 1"];
  await writeFile(stub, lines.join("\n"), { mode: 0o755 });
  const code = `
    const { startNatsServer } = await import(${JSON.stringify(MODULE)});
    await startNatsServer({ storeDir: "none" }).catch((error) => console.log(error.message));`;
  const child = Bun.spawn([process.execPath, "-e", code], {
    env: { ...process.env, PATH: `${dir}:${process.env.PATH}` },
    stdout: "pipe",
    timeout: 4000,
  });
  const said = await new Response(child.stdout).text();
  expect([said.trim(), await child.exited]).toEqual([
    "nats-server did not start: Server is ready",
    0,
  ]);
});
