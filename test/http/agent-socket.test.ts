import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SocketError, serveAgentSocket } from "../../src/http/agent-socket.ts";

let dir: string;
let path: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "heddle-socket-"));
  path = join(dir, "run", "agent.sock");
});

afterEach(() => rm(dir, { recursive: true, force: true }));

const app = { fetch: () => new Response("here") };

async function mode(file: string): Promise<string> {
  return ((await stat(file)).mode & 0o777).toString(8);
}

test("only the owner can open the socket or its directory", async () => {
  const server = await serveAgentSocket(app, path);
  try {
    expect([await mode(join(dir, "run")), await mode(path)]).toEqual(["700", "600"]);
    expect(await (await fetch("http://agent/", { unix: path })).text()).toBe("here");
  } finally {
    await server.close();
  }
});

test("a socket on which somebody answers is not taken over", async () => {
  const server = await serveAgentSocket(app, path);
  try {
    await expect(serveAgentSocket(app, path)).rejects.toThrow(
      `socket ${path}: another agent answers`,
    );
    expect(await (await fetch("http://agent/", { unix: path })).text()).toBe("here");
  } finally {
    await server.close();
  }
});

test("a socket that a killed process left behind is replaced", async () => {
  const module = new URL("../../src/http/agent-socket.ts", import.meta.url).pathname;
  const script = `
    const { serveAgentSocket } = await import(${JSON.stringify(module)});
    await serveAgentSocket({ fetch: () => new Response("old") }, ${JSON.stringify(path)});
    process.kill(process.pid, "SIGKILL");`;
  await Bun.spawn([process.execPath, "-e", script]).exited;
  expect((await stat(path)).isSocket()).toBe(true);
  const server = await serveAgentSocket(app, path);
  try {
    expect(await (await fetch("http://agent/", { unix: path })).text()).toBe("here");
  } finally {
    await server.close();
  }
});

test("a file that is no socket stays, and the error names it", async () => {
  const file = join(dir, "precious");
  await writeFile(file, "data");
  await expect(serveAgentSocket(app, file)).rejects.toThrow(SocketError);
  await expect(serveAgentSocket(app, file)).rejects.toThrow(
    `socket ${file}: a file that is no socket`,
  );
  expect(await Bun.file(file).text()).toBe("data");
});

test("a path that the kernel would cut off is refused", async () => {
  const long = join(dir, "x".repeat(120));
  await expect(serveAgentSocket(app, long)).rejects.toThrow("longer than 107 bytes");
});
