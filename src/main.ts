// Composition root: the only place that builds adapters. Each is loaded when a command asks for it.

import { hostname } from "node:os";
import manifest from "../package.json" with { type: "json" };
import type { Logger } from "./agent/logger.ts";
import type { AgentSettings, Deps, KernelConnection, RunningAgent } from "./cli/deps.ts";
import { EXIT_FAILED, EXIT_OK, knownFailure } from "./cli/failure.ts";
import { PipeClosed, standardOutput } from "./cli/output.ts";
import { hasNetAdmin } from "./cli/privilege.ts";
import { runProgram } from "./cli/program.ts";
import type { TunnelKernelOptions } from "./reconcilers/kernel-tunnel.ts";

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
  openKernel: (netns) => openKernel(netns),
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

async function openKernel(
  netns: string | null,
  handed: Pick<TunnelKernelOptions, "offer" | "onDescriptors"> = {},
): Promise<KernelConnection> {
  const { NetlinkKernel } = await import("./reconcilers/kernel-netlink.ts");
  const { TunnelKernel } = await import("./reconcilers/kernel-tunnel.ts");
  const netlink = new NetlinkKernel({ netns });
  const load = async () => (await import("./ffi/tunnel.ts")).Tunnel;
  const kernel = new TunnelKernel(netlink, { netns, load, ...handed });
  const close = (): void => {
    kernel.close();
    netlink.close();
  };
  return { kernel, tunnel: kernel, close };
}

/** Throws HostTaken, LogError or NativeError when an adapter cannot be opened. */
async function composeAgent(settings: AgentSettings, logger: Logger): Promise<RunningAgent> {
  const { startAgent } = await import("./agent/agent.ts");
  const { openTunnelEarly } = await import("./agent/early-tunnel.ts");
  const { openFiles } = await import("./agent/files.ts");
  const { instanceId, lockHost } = await import("./agent/os-host.ts");
  const { findPredecessor } = await import("./agent/os-predecessor.ts");
  const { serviceManager } = await import("./agent/os-service.ts");
  const { log: logOptions, stateDir, subnetFile, takeover, ...options } = settings;
  const predecessor = takeover ? findPredecessor(logger) : null;
  let lock = predecessor === null ? lockHost() : null;
  const manager = serviceManager(process.env, process.pid, logger);
  const { kernel, tunnel, close } = await openKernel(null, {
    offer: predecessor?.fds ?? manager.inherited,
    onDescriptors: manager.keep,
  });
  const { fabric } = logOptions;
  const instance = instanceId();
  const { clock } = deps;
  const files = openFiles({ stateDir, subnetFile });
  // First of all: loading and connecting what the log needs takes longer than this.
  const identity = { fabric, node: options.node, instance };
  await openTunnelEarly({ kernel, files, clock, logger }, identity);
  const connection = await deps.connectLog(logOptions);
  const agent = await startAgent(
    {
      log: connection.log,
      board: connection.status,
      kernel,
      tunnel,
      clock,
      files,
      logger,
      newId: () => crypto.randomUUID(),
      redial: () => connection.redial(),
    },
    {
      ...options,
      fabric,
      instance,
      version: deps.version,
      muted: predecessor !== null,
    },
  );
  const done = agent.done.then(async (end) => {
    await connection.close();
    close();
    lock?.release();
    return end;
  });
  if (predecessor !== null) {
    const { takeOver } = await import("./agent/takeover.ts");
    const claim = () => {
      lock = lockHost();
    };
    await takeOver(agent, predecessor, { clock, logger, manager, claim });
  }
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
