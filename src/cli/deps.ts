// What commands may use of the world, built in main.ts and nowhere else. Everything that costs
// start-up time is behind a function, so that a command pays only for what it touches.

import type { AgentPort } from "../agent/agent-port.ts";
import type { Logger } from "../agent/logger.ts";
import type { UnderlayBy } from "../agent/underlay.ts";
import type { Clock } from "../events/clock.ts";
import type { LogConnection, LogOptions } from "../events/log-jetstream.ts";
import type { Kernel } from "../reconcilers/kernel.ts";
import type { MissKernel } from "../reconcilers/miss.ts";
import type { TunnelView } from "../reconcilers/tunnel-status.ts";
import type { Output } from "./output.ts";

export interface Deps {
  readonly out: Output;
  readonly clock: Clock;
  /**
   * Wall clock, milliseconds since the epoch: for what people type ("2h") and read, never for
   * state.
   */
  wallMs(): number;
  readonly hostName: string;
  readonly version: string;
  /** How to start this very program again. */
  readonly program: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether this process may change the network. */
  hasNetAdmin(): boolean;
  /** Throws LogError. */
  connectLog(options: LogOptions): Promise<LogConnection>;
  /** The kernel of this network namespace, or of the named one. Throws NetlinkError. */
  openKernel(netns: string | null): Promise<KernelConnection>;
  /** Throws NatsServerError. */
  startNatsServer(options: { storeDir: string; listen: string }): Promise<EmbeddedServer>;
  /** Starts the worker of this host, which logs through `logger`. */
  startAgent(settings: AgentSettings, logger: Logger): Promise<RunningAgent>;
  /** Calls `stop` on SIGINT or SIGTERM; the returned function forgets it. */
  onSignal(stop: (signal: string) => void): () => void;
}

export interface KernelConnection {
  readonly kernel: Kernel;
  readonly misses: MissKernel;
  readonly tunnel: TunnelView;
  close(): void;
}

export interface EmbeddedServer {
  readonly url: string;
  readonly version: string;
  readonly exited: Promise<{ readonly code: number | null; readonly lastLine: string }>;
  stop(): Promise<void>;
}

/** The flags of `heddle agent`, checked and completed. */
export interface AgentSettings {
  readonly log: LogOptions;
  readonly stateDir: string;
  readonly subnetFile: string;
  readonly node: string;
  readonly underlay: UnderlayBy;
  readonly publicIp: string | null;
  readonly publicIpv6: string | null;
  readonly ipMasq: boolean;
  readonly ttlSeconds: number;
  readonly marginSeconds: number;
  /** From an agent that runs here, if one does. */
  readonly takeover: boolean;
}

export interface RunningAgent extends AgentPort {
  /** Exit code, and the reason when the agent ended by itself. */
  readonly done: Promise<{ readonly code: number; readonly reason: string | null }>;
}
