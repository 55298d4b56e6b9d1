// Composition of one host's agent: the adapters, and what goes on beside it in the same process.

import { startAgent } from "./agent/agent.ts";
import type { Agent } from "./agent/agent-deps.ts";
import { createAppliedAnswers, reasonBehind } from "./agent/applied-answers.ts";
import { openTunnelEarly } from "./agent/early-tunnel.ts";
import { openFiles } from "./agent/files.ts";
import type { Logger } from "./agent/logger.ts";
import { instanceId, lockHost } from "./agent/os-host.ts";
import { releaseMemory } from "./agent/os-memory.ts";
import { findPredecessor } from "./agent/os-predecessor.ts";
import { serviceManager } from "./agent/os-service.ts";
import { trimAfterStart } from "./agent/trim.ts";
import type { AgentSettings, KernelConnection, RunningAgent } from "./cli/deps.ts";
import type { Clock } from "./events/clock.ts";
import { NetlinkKernel } from "./reconcilers/kernel-netlink.ts";
import { TunnelKernel, type TunnelKernelOptions } from "./reconcilers/kernel-tunnel.ts";

export interface AgentWorld {
  readonly clock: Clock;
  readonly version: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export function openKernel(
  netns: string | null,
  handed: Pick<TunnelKernelOptions, "offer" | "onDescriptors"> = {},
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

/** Throws HostTaken, LogError or NativeError when an adapter cannot be opened. */
export async function composeAgent(
  world: AgentWorld,
  settings: AgentSettings,
  logger: Logger,
): Promise<RunningAgent> {
  const { clock, version, env } = world;
  const { log: logOptions, stateDir, subnetFile, takeover, ...options } = settings;
  const instance = instanceId();
  const predecessor = takeover ? findPredecessor(logger) : null;
  let lock = predecessor === null ? lockHost() : null;
  const manager = serviceManager(env, process.pid, logger);
  const { kernel, misses, tunnel, close } = openKernel(null, {
    offer: predecessor?.fds ?? manager.inherited,
    onDescriptors: manager.keep,
  });
  const { fabric } = logOptions;
  const files = openFiles({ stateDir, subnetFile });
  // First of all: loading and connecting what the log needs takes longer than this.
  const identity = { fabric, node: options.node, instance };
  await openTunnelEarly({ kernel, files, clock, logger }, identity);
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
      ...{ kernel, misses, tunnel, clock, files, logger },
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
  compileWhenStarted(agent, beside.signal);
  const isReady = (): boolean => agent.ready();
  void trimAfterStart({ clock, logger, isReady, releaseMemory }, beside.signal);
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

/** An agent starts until it was ready for `readyMs`, or has `records` to fold at once. */
const START = { lookMs: 500, readyMs: 3000, records: 1000 } as const;

/** Ends what main.ts began: from here on the compiler does what it usually does. */
function compile(): void {
  Bun.unsafe.setJITPolicy(1);
}

function compileIfMany(records: number): void {
  if (records >= START.records) compile();
}

function compileWhenStarted(agent: Pick<Agent, "ready">, signal: AbortSignal): void {
  let readyMs = 0;
  const timer = setInterval(() => {
    readyMs = agent.ready() ? readyMs + START.lookMs : 0;
    if (readyMs < START.readyMs) return;
    compile();
    clearInterval(timer);
  }, START.lookMs);
  signal.addEventListener("abort", () => clearInterval(timer));
}
