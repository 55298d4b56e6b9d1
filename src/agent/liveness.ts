// Whether another agent of the same name is alive: it shows itself on the status board every few
// seconds. Clocks of two hosts are never compared; an entry counts as alive when it moves on while
// it is looked at.

import { type Clock, sleep } from "../events/clock.ts";
import { messageSchemas } from "../events/late.ts";
import { LogError } from "../events/log.ts";
import type { StatusBoard } from "../events/status-board.ts";

/** An agent shows itself at least this often. */
export const HEARTBEAT_MS = 2000;
/** An agent that was not seen for this long is taken for gone. */
export const GONE_MS = 3 * HEARTBEAT_MS;

export interface LivenessQuestion {
  readonly board: StatusBoard;
  readonly clock: Clock;
  readonly node: string;
  /** Of the asking agent; entries by itself do not count. */
  readonly instance: string;
  readonly signal: AbortSignal;
}

/**
 * Who else is alive under this name, in words, or null when nobody shows up for GONE_MS. No entry
 * is no sign either: an agent that has just joined has yet to show itself.
 */
export async function aliveElsewhere(question: LivenessQuestion): Promise<string | null> {
  const { clock, signal, node } = question;
  const first = await look(question);
  const untilMs = clock.nowMs() + GONE_MS;
  let now = first;
  while (now !== "stopping" && clock.nowMs() < untilMs && !signal.aborted) {
    await sleep(clock, HEARTBEAT_MS / 4, signal);
    now = await look(question);
    if (typeof now !== "object" || (typeof first === "object" && now.timeMs === first.timeMs)) {
      continue;
    }
    return `the name ${node} is in use by a live agent (instance ${now.instance})`;
  }
  return null;
}

/** The other's entry, "none" when there is none or it is ours, or that its agent said it stops. */
async function look(
  question: LivenessQuestion,
): Promise<{ readonly timeMs: number; readonly instance: string } | "none" | "stopping"> {
  const found = (await entries(question.board)).find((status) => status.node === question.node);
  if (found === undefined) return "none";
  const parsed = messageSchemas().boardEntry.safeParse(readJson(found.payload));
  if (!parsed.success || parsed.data.instance === question.instance) return "none";
  const { instance, state } = parsed.data;
  return state === "stopping" ? "stopping" : { timeMs: found.timeMs, instance };
}

async function entries(board: StatusBoard): ReturnType<StatusBoard["list"]> {
  try {
    return await board.list();
  } catch (error) {
    if (error instanceof LogError) return []; // The board is a hint; without it the log decides.
    throw error;
  }
}

function readJson(payload: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(payload));
  } catch {
    return null; // Not an agent's entry.
  }
}
