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
/** Before the first entry: whoever waits for all hosts looks for them on the board. */
const RETRY_MS = 50;

export function createHeartbeat(deps: HeartbeatDeps): Heartbeat {
  const { board, clock } = deps;
  const waker = createWaker(clock);
  const encoder = new TextEncoder();

  /** False when nobody could see it. */
  async function show(): Promise<boolean> {
    if (!deps.mayShow()) return false;
    const entry = deps.entry();
    try {
      await board.publish(entry.node, encoder.encode(JSON.stringify(entry)));
      return true;
    } catch (error) {
      // The log's own trouble is reported by the tail; the board is tried again at the next beat.
      if (!(error instanceof LogError)) throw error;
      return false;
    }
  }

  return {
    wake: waker.wake,
    last: async () => {
      await show();
    },
    run: async (signal) => {
      let seen = false;
      while (!signal.aborted) {
        await waker.wait(seen ? HEARTBEAT_MS - PAUSE_MS : RETRY_MS, signal);
        const shown = !signal.aborted && (await show());
        if (shown) await sleep(clock, PAUSE_MS, signal);
        seen ||= shown;
      }
    },
  };
}
