// Composition root: with main-agent.ts the only place that builds adapters. Each is loaded when a
// command asks for it.

import { hostname } from "node:os";
import manifest from "../package.json" with { type: "json" };
import type { Deps } from "./cli/deps.ts";

// Code that runs once is not worth compiling: of fifty agents' start the compiler took two fifths.
// `npm run build` gives the single-file program the same from its first instruction; an agent
// compiles again when its start is over (main-agent.ts).
Bun.unsafe.setJITPolicy(1000);

const argv = process.argv.slice(2);
const world = { argv, env: process.env, hostName: hostname(), version: manifest.version };
// An agent's packets wait for nothing that they do not need, not even for the command line.
const early =
  argv[0] === "agent"
    ? await (await import("./agent/os-early-tunnel.ts")).openTunnelAtOnce(world)
    : null;

const { EXIT_FAILED, EXIT_OK, knownFailure } = await import("./cli/failure.ts");
const { PipeClosed, standardOutput } = await import("./cli/output.ts");
const { hasNetAdmin } = await import("./cli/privilege.ts");
const { runProgram } = await import("./cli/program.ts");

const out = standardOutput();

const deps: Deps = {
  out,
  clock: {
    nowMs: () => performance.now(),
    after(ms, fn) {
      // A fraction would be dropped, and what is due then would not be yet.
      const timer = setTimeout(fn, Math.ceil(ms));
      return () => clearTimeout(timer);
    },
  },
  wallMs: () => Date.now(),
  hostName: world.hostName,
  version: world.version,
  // A single-file binary is itself the program; its modules have paths of their own.
  program: Bun.main.startsWith("/$bunfs/")
    ? process.execPath
    : Bun.main.replace(/src\/main\.ts$/, "bin/heddle"),
  env: process.env,
  hasNetAdmin,
  connectLog: async (options) => {
    // A command folds the whole log.
    Bun.unsafe.setJITPolicy(1);
    return (await import("./events/log-jetstream.ts")).connectLog(options);
  },
  openKernel: async (netns) => (await import("./main-agent.ts")).openKernel(netns),
  startNatsServer: async (options) =>
    (await import("./agent/nats-server.ts")).startNatsServer(options),
  startAgent: async (settings, logger) =>
    (await import("./main-agent.ts")).composeAgent({ ...deps, ...world, early }, settings, logger),
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

process.exit(await exitCodeOf());

async function exitCodeOf(): Promise<number> {
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
