// heddle down over a stand-in agent and a kernel that only watches: the order of what happens, and
// which subnet.env is removed.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Deps } from "../../src/cli/deps.ts";
import { down } from "../../src/cli/down.ts";
import { LogError } from "../../src/events/log.ts";
import { createAgentApp } from "../../src/http/agent-app.ts";
import { type SocketServer, serveAgentSocket } from "../../src/http/agent-socket.ts";
import type { Kernel } from "../../src/reconcilers/kernel.ts";
import { emptyKernelState } from "../../src/reconcilers/kernel-state.ts";
import type { MissKernel } from "../../src/reconcilers/miss.ts";
import { history } from "../support/history.ts";
import { realClock } from "../support/real-clock.ts";

let dir: string;
let server: SocketServer | null;
let happened: string[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "heddle-down-"));
  server = null;
  happened = [];
});

afterEach(async () => {
  await server?.close();
  await rm(dir, { recursive: true, force: true });
});

const state = history("f")
  .config({ Network: "10.5.0.0/16" })
  .join("h1")
  .claim("h1", ["10.5.3.0/24"])
  .state();

/** An agent that takes its time to end: it still answers the first time it is asked after. */
async function serveAgent(leave: () => Promise<void>): Promise<void> {
  const unused = () => {
    throw new Error("not used");
  };
  let stopping = false;
  let asked = 0;
  const app = createAgentApp({
    status: unused,
    health: unused,
    ops: unused,
    found: unused,
    plan: unused,
    acceptLog: unused,
    state: () => state,
    leave,
    stop: async () => {
      stopping = true;
    },
  });
  const fetch = (request: Request): Response | Promise<Response> => {
    if (stopping && asked++ === 1) {
      happened.push("agent ended");
      void server?.close();
    }
    return app.fetch(request);
  };
  server = await serveAgentSocket({ fetch }, join(dir, "s"));
}

const kernel: Kernel = {
  facts: async () => ({ devices: [], defaultDevs: { ipv4: [], ipv6: [] }, onlink: [] }),
  observe: async () => {
    happened.push("kernel read");
    return emptyKernelState();
  },
  apply: async (ops) => ops.map(() => ({ ok: true })),
  watch: () => ({ close: () => undefined }),
  routeTo: async () => null,
};

const noMisses: MissKernel = {
  watchMisses: () => {
    throw new Error("not used");
  },
  pending: () => [],
  answer: () => [],
  uses: () => [],
};
const noTunnel = { capabilities: () => null, status: () => null };

function run(privileged = true): Promise<number> {
  const unused = () => {
    throw new Error("not used");
  };
  const say = (text: unknown): void => void happened.push(String(text));
  const deps: Deps = {
    out: { line: say, note: say, raw: say, json: say, terminalRows: () => null },
    clock: realClock,
    wallMs: () => 0,
    hostName: "h1",
    version: "test",
    program: "heddle",
    env: {},
    hasNetAdmin: () => privileged,
    connectLog: () => Promise.reject(new LogError("unreachable", "no server")),
    openKernel: async () => ({
      kernel,
      misses: noMisses,
      tunnel: noTunnel,
      close: () => undefined,
    }),
    startNatsServer: unused,
    startAgent: unused,
    onSignal: unused,
  };
  const paths = { socket: join(dir, "s"), stateDir: dir, subnetFile: join(dir, "subnet.env") };
  return down(deps, { nats: "nats://x", fabric: "f", ...paths });
}

test("the kernel is not touched before the agent has ended", async () => {
  await serveAgent(async () => void happened.push("leaving"));
  expect(await run()).toBe(0);
  expect(happened).toEqual(["leaving", "left the fabric", "agent ended", "kernel read"]);
});

test("an agent that cannot leave is ended all the same", async () => {
  await serveAgent(() => Promise.reject(new LogError("unreachable", "no server")));
  expect(await run()).toBe(0);
  expect(happened).toEqual([
    "heddle: agent: no server; the lease will expire by itself",
    "agent ended",
    "kernel read",
  ]);
});

test("subnet.env goes when it speaks of our subnet, and stays when it does not", async () => {
  const path = join(dir, "subnet.env");
  await serveAgent(async () => undefined);
  await Bun.write(path, "FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.4.1/24\n");
  await run();
  expect(existsSync(path)).toBe(true);
  expect(happened).toContain(`heddle: ${path} stays: its subnet is not ours`);
  await serveAgent(async () => undefined);
  await Bun.write(path, "FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.3.1/24\n");
  await run();
  expect(existsSync(path)).toBe(false);
});

test("without an agent and a log the kernel is cleared all the same", async () => {
  expect(await run()).toBe(0);
  expect(happened).toEqual([
    "heddle: log: no server; the lease will expire by itself",
    "kernel read",
  ]);
});

test("without the privilege nothing happens at all", async () => {
  await serveAgent(async () => void happened.push("leaving"));
  await expect(run(false)).rejects.toThrow("no privilege to change the network");
  expect(happened).toEqual([]);
});
