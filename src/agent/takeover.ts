// How an agent takes a host over from the one that runs there: it starts beside it, says nothing,
// makes the kernel right by its own plan with the other's descriptors in its tunnel, and only then
// ends the other. Until that moment the other is a whole agent: packets flow through both, and
// whichever dies, the host still has one.

import { type Clock, sleep } from "../events/clock.ts";
import type { Agent, AgentEnd } from "./agent-deps.ts";
import type { Logger } from "./logger.ts";
import { HostTaken } from "./os-host.ts";
import type { Predecessor } from "./os-predecessor.ts";
import type { ServiceManager } from "./os-service.ts";
import type { AgentStatus } from "./status.ts";

/** A start takes 0.2 s, and 1.7 s from the snapshot while the log is away. */
const LIMIT_MS = 10_000;
const LOOK_MS = 2;

export interface TakeoverDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly manager: Pick<ServiceManager, "claimMain">;
  /** Makes this process the only one that manages the host. Throws HostTaken. */
  claim(): void;
}

/**
 * Resolves when `predecessor` is gone and `agent` has its place. Throws HostTaken after ending
 * `agent` when that cannot be; the predecessor then goes on, unless it was the one that failed.
 */
export async function takeOver(
  agent: Agent,
  predecessor: Predecessor,
  deps: TakeoverDeps,
): Promise<void> {
  const { logger, clock, manager } = deps;
  const { pid } = predecessor;
  logger.info("taking over", { pid });
  try {
    const refusal = await holdsHost(agent, clock);
    if (refusal !== null) {
      throw new HostTaken(`the agent that runs here (pid ${pid}) goes on: this one ${refusal}`);
    }
    // Before the other one ends, or the manager would take the service for ended.
    manager.claimMain();
    await predecessor.end(clock, logger);
    deps.claim();
  } catch (error) {
    await agent.stop();
    throw error;
  }
  agent.speak();
  logger.info("taken over", { pid });
}

/** Null when `agent` can do without the other one, else why it cannot. */
async function holdsHost(agent: Agent, clock: Clock): Promise<string | null> {
  const untilMs = clock.nowMs() + LIMIT_MS;
  let end: AgentEnd | null = null;
  void agent.done.then((ended) => {
    end = ended;
  });
  while (clock.nowMs() < untilMs) {
    if (end !== null) return `ended: ${(end as AgentEnd).reason ?? "it was stopped"}`;
    if (holds(agent.status())) return null;
    await sleep(clock, LOOK_MS);
  }
  const { state, problems } = agent.status();
  return [`is ${state} after ${LIMIT_MS / 1000} s`, ...problems].join("; ");
}

/** The kernel is as this agent's plan wants it, but for what its problems say. */
function holds({ state, seq }: AgentStatus): boolean {
  return (state === "ready" || state === "degraded") && seq.applied > 0;
}
