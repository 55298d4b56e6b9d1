// What an agent is given, and what its owner can ask of it.

import type { Clock } from "../events/clock.ts";
import type { EventLog } from "../events/log.ts";
import type { Snapshot } from "../events/snapshot.ts";
import type { StatusBoard } from "../events/status-board.ts";
import type { Kernel } from "../reconcilers/kernel.ts";
import type { MissKernel } from "../reconcilers/miss.ts";
import type { TunnelView } from "../reconcilers/tunnel-status.ts";
import type { AgentPort } from "./agent-port.ts";
import type { AgentFiles } from "./files.ts";
import type { Logger } from "./logger.ts";
import type { Identity } from "./member.ts";
import type { UnderlayBy } from "./underlay.ts";

export interface AgentDeps {
  readonly log: EventLog;
  readonly board: StatusBoard;
  readonly kernel: Kernel;
  readonly misses: MissKernel;
  /** The packet path of the udp backend. */
  readonly tunnel?: TunnelView;
  readonly clock: Clock;
  readonly files: AgentFiles;
  readonly logger: Logger;
  /** When it is being read already. */
  readonly snapshot?: Promise<Snapshot | null>;
  /** A new unique id for an event. */
  readonly newId: () => string;
  /** Connects to the log anew, after an address of this host went away. */
  readonly redial?: () => void;
  readonly onApplied?: (seq: number) => void;
  /** How many records of the log are still to be folded, each time the log is looked at. */
  readonly onBehind?: (records: number) => void;
}

export interface AgentOptions extends Identity {
  readonly underlay: UnderlayBy;
  readonly ttlSeconds: number;
  readonly marginSeconds: number;
  /** After how long without a packet an entry on demand goes; ten minutes if not given. */
  readonly idleMs?: number;
  /** Say nothing, in the log and on the board, before `speak`: a predecessor still does. */
  readonly muted?: boolean;
}

/** How the agent came to its end. `code` is the process's exit code. */
export interface AgentEnd {
  readonly code: 0 | 1 | 3;
  readonly reason: string | null;
}

export interface Agent extends AgentPort {
  /** The kernel is as planned from the whole log; it may have a problem all the same. */
  ready(): boolean;
  readonly done: Promise<AgentEnd>;
  /** From here on this agent speaks for the host. */
  speak(): void;
}
