// The two ways a start without a log can go: on with the snapshot, or not at all. An agent that has
// read the log once in its life can do without it for as long as it takes.

import { type Clock, sleep } from "../events/clock.ts";
import type { Logger } from "./logger.ts";
import { OFFLINE_START_MS } from "./problems.ts";
import type { TailView } from "./tail.ts";

/** Without a snapshot there is nothing to do without the log; a supervisor tries again. */
const GIVE_UP_MS = 10_000;

export interface OfflineStart {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly hasSnapshot: boolean;
  readonly view: () => TailView;
  readonly onSnapshot: () => void;
  readonly onGiveUp: (reason: string) => Promise<void>;
}

export async function watchStart(start: OfflineStart, signal: AbortSignal): Promise<void> {
  const { clock, logger, view } = start;
  const settled = (): boolean => signal.aborted || view().connected || view().caughtUp;
  await sleep(clock, OFFLINE_START_MS, signal);
  if (settled()) return;
  if (start.hasSnapshot) {
    logger.warn("log unreachable, starting from the snapshot", { seq: view().seq });
    return start.onSnapshot();
  }
  await sleep(clock, GIVE_UP_MS - OFFLINE_START_MS, signal);
  if (settled()) return;
  const reason = view().trouble?.message ?? "the log does not answer";
  await start.onGiveUp(`${reason}; there is no snapshot to start from`);
}
