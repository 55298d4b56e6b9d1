// Composition root: the only place that builds adapters. Each is loaded when a command asks for it.

import { hostname } from "node:os";
import manifest from "../package.json" with { type: "json" };
import type { Deps } from "./cli/deps.ts";
import { EXIT_FAILED, EXIT_OK, knownFailure } from "./cli/failure.ts";
import { PipeClosed, standardOutput } from "./cli/output.ts";
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
  env: process.env,
  connectLog: async (options) => (await import("./events/log-jetstream.ts")).connectLog(options),
  openKernel: async (netns) => {
    const { NetlinkKernel } = await import("./reconcilers/kernel-netlink.ts");
    const kernel = new NetlinkKernel({ netns });
    return { kernel, close: () => kernel.close() };
  },
  startNatsServer: async (options) =>
    (await import("./agent/nats-server.ts")).startNatsServer(options),
  startAgent: async (settings, logger) =>
    (await import("./main-agent.ts")).composeAgent(deps, settings, logger),
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
