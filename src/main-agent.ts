// Composition of one host's agent: the adapters, and what goes on beside it in the same process.

import { startAgent } from "./agent/agent.ts";
import type { Agent } from "./agent/agent-deps.ts";
import { createAppliedAnswers, reasonBehind } from "./agent/applied-answers.ts";
import { openTunnelEarly } from "./agent/early-tunnel.ts";
import { openFiles } from "./agent/files.ts";
import type { Logger } from "./agent/logger.ts";
import { instanceId, lockHost } from "./agent/os-host.ts";
import type { EarlyTunnel } from "./agent/os-kept-tunnel.ts";
import { releaseMemory } from "./agent/os-memory.ts";
import { findPredecessor } from "./agent/os-predecessor.ts";
import { serviceManager } from "./agent/os-service.ts";
import { loadSnapshot } from "./agent/snapshot-keeper.ts";
import { trimAfterStart } from "./agent/trim.ts";
import { createTunnelKeeper } from "./agent/tunnel-file.ts";
import type { AgentSettings, KernelConnection, RunningAgent } from "./cli/deps.ts";
import type { Clock } from "./events/clock.ts";
import { NetlinkKernel } from "./reconcilers/kernel-netlink.ts";
import { TunnelKernel, type TunnelKernelOptions } from "./reconcilers/kernel-tunnel.ts";

export interface AgentWorld {
  readonly clock: Clock;
  readonly version: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly hostName: string;
  readonly argv: readonly string[];
  /** What carries packets already, with the host's lock; or why nothing does though it should. */
  readonly early: EarlyTunnel | string | null;
}

export function openKernel(
  netns: string | null,
  handed: Omit<TunnelKernelOptions, "netns" | "load"> = {},
): KernelConnection {
  const netlink = new NetlinkKernel({ netns });
  const load = async () => (await import("./ffi/tunnel.ts")).Tunnel;
  const kernel = new TunnelKernel(netlink, { netns, load, ...handed });
  const close = (): void => {
    kernel.close();
    netlink.close();
  };
  return { kernel, misses: netlink.misses(), tunnel: kernel, close };
}

function earlyOf({ early }: AgentWorld, logger: Logger): EarlyTunnel | null {
  if (typeof early === "object") return early;
  logger.warn("tunnel not open at once", { reason: early });
  return null;
}

function keeperOfTable(
  world: AgentWorld,
  { fabric, node, instance, stateDir }: Record<"fabric" | "node" | "instance" | "stateDir", string>,
  logger: Logger,
): ReturnType<typeof createTunnelKeeper> {
  const onFailure = (reason: string): void => logger.warn("tunnel's table not kept", { reason });
  const deps = { clock: world.clock, stateDir, onFailure };
  return createTunnelKeeper(deps, { ...world, instance }, { fabric, node });
}

/** Throws HostTaken, LogError or NativeError when an adapter cannot be opened. */
export async function composeAgent(
  world: AgentWorld,
  settings: AgentSettings,
  logger: Logger,
): Promise<RunningAgent> {
  const { clock, version, env } = world;
  const early = earlyOf(world, logger);
  const { log: logOptions, stateDir, subnetFile, takeover, ...options } = settings;
  const instance = instanceId();
  const predecessor = takeover ? findPredecessor(logger) : null;
  let lock = early?.lock ?? (predecessor === null ? lockHost() : null);
  const manager = serviceManager(env, process.pid, logger);
  const { fabric } = logOptions;
  const identity = { fabric, node: options.node, instance };
  const { kernel, misses, tunnel, close } = openKernel(null, {
    offer: predecessor?.fds ?? manager.inherited,
    onDescriptors: manager.keep,
    onTable: keeperOfTable(world, { ...identity, stateDir }, logger),
    ...(early === null ? {} : { running: early }),
  });
  const files = openFiles({ stateDir, subnetFile });
  // First of all: loading and connecting what the log needs takes longer than this.
  const snapshot = loadSnapshot({ files, clock, logger }, fabric, options.node);
  if (early === null) await openTunnelEarly({ kernel, logger, snapshot }, identity);
  const { connectLog } = await import("./events/log-jetstream.ts");
  const connection = await connectLog(logOptions);
  const speaksForHost = (): boolean => agent.state().nodes.get(options.node)?.instance === instance;
  const answers = createAppliedAnswers({
    ...{ inquiry: connection.inquiry, clock, node: options.node },
    mayAnswer: speaksForHost,
    reason: () => reasonBehind(agent.status()),
  });
  const agent = await startAgent(
    {
      log: connection.log,
      board: connection.status,
      ...{ kernel, misses, tunnel, clock, files, logger, snapshot },
      newId: () => crypto.randomUUID(),
      redial: () => connection.redial(),
      ...{ onApplied: answers.applied, onBehind: compileIfMany },
    },
    { ...options, fabric, instance, version, muted: predecessor !== null },
  );
  const beside = new AbortController();
  void answers.run(beside.signal);
  const found = (): Uint8Array | null =>
    speaksForHost() ? new TextEncoder().encode(JSON.stringify(agent.found())) : null;
  void connection.foundInquiry.listen(options.node, found, beside.signal);
  const isReady = (): boolean => agent.ready();
  // Then only: what is given back is also what was compiled until then.
  void trimAfterStart({ clock, logger, isReady, releaseMemory }, beside.signal).then(compile);
  const done = agent.done.then(async (end) => {
    beside.abort();
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
  return runningOf(agent, done);
}

/** What the command may use of it, with an end that is the whole process's. */
function runningOf(agent: Agent, done: RunningAgent["done"]): RunningAgent {
  return {
    status: () => agent.status(),
    health: () => agent.health(),
    ops: () => agent.ops(),
    found: () => agent.found(),
    state: () => agent.state(),
    plan: () => agent.plan(),
    acceptLog: () => agent.acceptLog(),
    leave: (reason) => agent.leave(reason),
    stop: () => agent.stop(),
    done,
  };
}

/** So many records to fold at once are worth compiling for, although the agent has only started. */
const MANY_RECORDS = 1000;

/** Ends what main.ts began: from here on the compiler does what it usually does. */
function compile(): void {
  Bun.unsafe.setJITPolicy(1);
}

function compileIfMany(records: number): void {
  if (records >= MANY_RECORDS) compile();
}
