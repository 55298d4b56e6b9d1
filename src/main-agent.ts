// The agent's part of the composition root: the adapters that only a running agent needs.

import { randomUUID } from "node:crypto";
import { startAgent } from "./agent/agent.ts";
import { openFiles } from "./agent/files.ts";
import type { Logger } from "./agent/logger.ts";
import { instanceId, lockHost } from "./agent/os-host.ts";
import type { AgentSettings, Deps, RunningAgent } from "./cli/deps.ts";

/** Throws HostTaken, LogError or NativeError when an adapter cannot be opened. */
export async function composeAgent(
  deps: Deps,
  settings: AgentSettings,
  logger: Logger,
): Promise<RunningAgent> {
  const { log: logOptions, stateDir, subnetFile, ...options } = settings;
  const lock = lockHost();
  const { kernel, close } = await deps.openKernel(null);
  const connection = await deps.connectLog(logOptions);
  const agent = await startAgent(
    {
      log: connection.log,
      board: connection.status,
      kernel,
      clock: deps.clock,
      files: openFiles({ stateDir, subnetFile }),
      logger,
      newId: randomUUID,
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
