// Shows the agent on the status board: after a change at most once a second, and every few seconds
// anyway, so that others can tell a live agent from a silent one.

import { type Clock, sleep } from "../events/clock.ts";
import { LogError } from "../events/log.ts";
import type { StatusBoard } from "../events/status-board.ts";
import { HEARTBEAT_MS } from "./liveness.ts";
import type { BoardEntry } from "./status.ts";
import { createWaker } from "./waker.ts";

export interface HeartbeatDeps {
  readonly board: StatusBoard;
  readonly clock: Clock;
  readonly entry: () => BoardEntry;
  /** False while the name is not ours to speak for. */
  readonly mayShow: () => boolean;
}

export interface Heartbeat {
  wake(): void;
  run(signal: AbortSignal): Promise<void>;
  /** One last word; trouble is of no interest any more. */
  last(): Promise<void>;
}

const PAUSE_MS = 1000;

export function createHeartbeat(deps: HeartbeatDeps): Heartbeat {
  const { board, clock } = deps;
  const waker = createWaker(clock);
  const encoder = new TextEncoder();

  async function show(): Promise<void> {
    if (!deps.mayShow()) return;
    const entry = deps.entry();
    try {
      await board.publish(entry.node, encoder.encode(JSON.stringify(entry)));
    } catch (error) {
      // The log's own trouble is reported by the tail; the board is tried again at the next beat.
      if (!(error instanceof LogError)) throw error;
    }
  }

  return {
    wake: waker.wake,
    last: show,
    run: async (signal) => {
      while (!signal.aborted) {
        await waker.wait(HEARTBEAT_MS - PAUSE_MS, signal);
        await show();
        await sleep(clock, PAUSE_MS, signal);
      }
    },
  };
}
