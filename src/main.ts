// Composition root: the only place that builds adapters. Each is loaded when a command asks for it.

import { hostname } from "node:os";
import manifest from "../package.json" with { type: "json" };
import type { Logger } from "./agent/logger.ts";
import type { AgentSettings, Deps, RunningAgent } from "./cli/deps.ts";
import { EXIT_FAILED, EXIT_OK, knownFailure } from "./cli/failure.ts";
import { PipeClosed, standardOutput } from "./cli/output.ts";
import { hasNetAdmin } from "./cli/privilege.ts";
import { runProgram } from "./cli/program.ts";

const out = standardOutput();

const deps: Deps = {
  out,
  clock: {
    nowMs: () => performance.now(),
    after(ms, fn) {
      const timer = setTimeout(fn, ms);
      return () => clearTimeout(timer);
    },
  },
  wallMs: () => Date.now(),
  hostName: hostname(),
  version: manifest.version,
  // A single-file binary is itself the program; its modules have paths of their own.
  program: Bun.main.startsWith("/$bunfs/")
    ? process.execPath
    : Bun.main.replace(/src\/main\.ts$/, "bin/heddle"),
  env: process.env,
  hasNetAdmin,
  connectLog: async (options) => (await import("./events/log-jetstream.ts")).connectLog(options),
  openKernel: async (netns) => {
    const { NetlinkKernel } = await import("./reconcilers/kernel-netlink.ts");
    const { TunnelKernel } = await import("./reconcilers/kernel-tunnel.ts");
    const netlink = new NetlinkKernel({ netns });
    const load = async () => (await import("./ffi/tunnel.ts")).Tunnel.open;
    const kernel = new TunnelKernel(netlink, { netns, load });
    const close = (): void => {
      kernel.close();
      netlink.close();
    };
    return { kernel, misses: netlink.misses(), tunnel: kernel, close };
  },
  startNatsServer: async (options) =>
    (await import("./agent/nats-server.ts")).startNatsServer(options),
  startAgent: composeAgent,
  onSignal(stop) {
    const handlers = (["SIGINT", "SIGTERM"] as const).map((name) => {
      const handler = (): void => stop(name);
      process.on(name, handler);
      return () => process.off(name, handler);
    });
    return () => {
      for (const forget of handlers) forget();
    };
  },
};

/** Throws HostTaken, LogError or NativeError when an adapter cannot be opened. */
async function composeAgent(settings: AgentSettings, logger: Logger): Promise<RunningAgent> {
  const { startAgent } = await import("./agent/agent.ts");
  const { openFiles } = await import("./agent/files.ts");
  const { instanceId, lockHost } = await import("./agent/os-host.ts");
  const { log: logOptions, stateDir, subnetFile, ...options } = settings;
  const lock = lockHost();
  const { kernel, misses, tunnel, close } = await deps.openKernel(null);
  const connection = await deps.connectLog(logOptions);
  const agent = await startAgent(
    {
      log: connection.log,
      board: connection.status,
      kernel,
      misses,
      tunnel,
      clock: deps.clock,
      files: openFiles({ stateDir, subnetFile }),
      logger,
      newId: () => crypto.randomUUID(),
      redial: () => connection.redial(),
    },
    { ...options, fabric: logOptions.fabric, instance: instanceId(), version: deps.version },
  );
  const done = agent.done.then(async (end) => {
    await connection.close();
    close();
    lock.release();
    return end;
  });
  return {
    status: () => agent.status(),
    state: () => agent.state(),
    plan: () => agent.plan(),
    acceptLog: () => agent.acceptLog(),
    leave: (reason) => agent.leave(reason),
    stop: () => agent.stop(),
    done,
  };
}

process.exit(await exitCodeOf(process.argv.slice(2)));

async function exitCodeOf(argv: readonly string[]): Promise<number> {
  try {
    return await runProgram(deps, argv);
  } catch (error) {
    if (error instanceof PipeClosed) return EXIT_OK;
    const known = knownFailure(error);
    if (known === null) {
      // A bug: the stack is the message.
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      for (const line of text.split("\n")) out.note(`heddle: ${line}`);
      return EXIT_FAILED;
    }
    out.note(`heddle: ${known.message}`);
    return known.exitCode;
  }
}
