// The loop around keeper.ts: asks what to say, says it, waits. It also answers the one question the
// log cannot: whether another instance that holds this node's name is alive.

import { type Clock, sleep } from "../events/clock.ts";
import { type Command, decide } from "../events/decide.ts";
import { NAME_GUARD_MS } from "../events/fold-member.ts";
import type { StatusBoard } from "../events/status-board.ts";
import { nextStep, type Self } from "./keeper.ts";
import { aliveElsewhere } from "./liveness.ts";
import type { Said, Speaker } from "./speaker.ts";
import type { Tail } from "./tail.ts";
import { createWaker, type Waker } from "./waker.ts";

export interface KeepDeps {
  readonly tail: Tail;
  readonly clock: Clock;
  readonly speaker: Speaker;
  readonly board: StatusBoard;
  readonly self: () => Omit<Self, "joined" | "followedForMs">;
  /** True once the agent is on its way out: it says nothing more. */
  readonly silent: () => boolean;
  readonly onProblem: (problem: string | null) => void;
  readonly onEnd: (reason: string) => void;
}

export interface Keep extends Pick<Waker, "wake"> {
  run(signal: AbortSignal): Promise<void>;
}

/** Before the same thing is tried again after it could not be said. */
const RETRY_MS = 1000;

function problemWith(type: string, said: Said): string | null {
  if (!said.ok) return said.reason;
  const { verdict } = said;
  // It would be refused again, and what is in the log stays there.
  return verdict.kind === "quarantined" ? `${type} was refused: ${verdict.reason}` : null;
}

export function createKeep(deps: KeepDeps): Keep {
  const { tail, clock, speaker } = deps;
  const waker = createWaker(clock);
  let joined = false;

  async function step(signal: AbortSignal): Promise<void> {
    const { caughtUp, damage, connected, followedSinceMs } = tail.view();
    if (!caughtUp || damage !== null || !connected || deps.silent())
      return waker.wait(null, signal);
    const followedForMs = followedSinceMs === null ? 0 : clock.nowMs() - followedSinceMs;
    const self = { ...deps.self(), joined, followedForMs };
    const next = nextStep(tail.state(), self, tail.logNowMs());
    switch (next.kind) {
      case "end":
        deps.onEnd(next.reason);
        return waker.wait(null, signal);
      case "wait": {
        deps.onProblem(next.problem);
        const ms = next.atMs === null ? null : next.atMs - tail.logNowMs();
        // Timers are 32 bit: a lease may well be longer than 24 days.
        return waker.wait(ms === null ? null : Math.min(Math.max(ms, 1), 2 ** 30), signal);
      }
      case "do":
        return perform(next.command, signal);
    }
  }

  async function perform(command: Command, signal: AbortSignal): Promise<void> {
    if (command.type === "Join" && !joined) {
      const other = await nameHeldBy(signal);
      if (signal.aborted) return;
      if (other !== null) return deps.onEnd(other);
    }
    const decision = decide(tail.state(), command);
    if (!decision.ok) return; // The state moved on; the next step sees it.
    for (const draft of decision.events) {
      const said = await speaker.say(draft);
      if (said.ok && draft.type === "NodeJoined") {
        if (said.verdict.kind === "accepted") joined = true;
        else if (!joined) return deps.onEnd(said.verdict.reason);
      }
      const problem = problemWith(draft.type, said);
      if (problem === null) continue;
      deps.onProblem(problem);
      return sleep(clock, RETRY_MS, signal);
    }
  }

  /** Why this name must not be taken, or null after any earlier holder is known to be gone. */
  async function nameHeldBy(signal: AbortSignal): Promise<string | null> {
    const { node, instance } = deps.self();
    const known = tail.state().nodes.get(node);
    if (!known?.present || known.instance === instance) return null;
    deps.onProblem(`waiting to see whether instance ${known.instance} of ${node} is alive`);
    const alive = await aliveElsewhere({ board: deps.board, clock, node, instance, signal });
    if (alive !== null) return alive;
    // Never longer than that: a log accepted meanwhile has another time, or none yet.
    const quietMs = Math.min(NAME_GUARD_MS - (tail.logNowMs() - known.heardMs), NAME_GUARD_MS);
    if (quietMs > 0) await sleep(clock, quietMs, signal);
    return null;
  }

  return {
    wake: waker.wake,
    run: async (signal) => {
      while (!signal.aborted) await step(signal);
    },
  };
}
