// What the surfaces of a running agent (its socket, later its HTTP port) can see and ask of it.

import type { FabricState } from "../events/state.ts";
import type { Plan } from "../reconcilers/plan.ts";
import type { Found } from "./found.ts";
import type { OpCounts } from "./op-counts.ts";
import type { AgentStatus, Health } from "./status.ts";

export interface AgentPort {
  status(): AgentStatus;
  health(): Health;
  /** What the kernel was told, and what it refused. */
  ops(): OpCounts;
  /** What the kernel held when it was last looked at, beside what it should hold. */
  found(): Found;
  /** The folded log as the agent has it now. */
  state(): Readonly<FabricState>;
  /** What the kernel shall hold now, or null while the agent keeps its hands off. */
  plan(): Plan | null;
  /**
   * Takes the log as it is now for the truth, after a person has looked at why the agent froze:
   * folds it again from its first record. Returns false when the agent is not frozen.
   */
  acceptLog(): boolean;
  /** Leaves the fabric: releases the lease, appends NodeLeft. Resolves when the log has both. */
  leave(reason: string): Promise<void>;
  /** Ends the agent and leaves the kernel as it is. */
  stop(): Promise<void>;
}
