// Until every live host has applied a sequence. Who is live is what the board says; how far each is
// the hosts themselves say when asked, within milliseconds, and the board for those that do not
// answer: older ones, and ones that may not listen.

import type { Clock } from "../events/clock.ts";
import { type AppliedAnswer, type Inquiry, QUESTION_MS_MAX } from "../events/inquiry.ts";
import { LogError } from "../events/log.ts";
import type { BoardWatch } from "./board-watch.ts";
import type { BoardHost } from "./live-hosts.ts";
import { createWaker } from "./waker.ts";

export interface ConvergeDeps {
  readonly board: Pick<BoardWatch, "live" | "known" | "onChange">;
  readonly inquiry: Inquiry;
  /** Hosts that the log heard of lately: they may not have shown themselves on the board yet. */
  readonly heard?: () => readonly string[];
  readonly clock: Clock;
  readonly newId: () => string;
}

export interface Wanted {
  readonly seq: number;
  /** At least so many live hosts. */
  readonly nodes: number;
  readonly waitMs: number;
}

export interface HostProgress {
  readonly node: string;
  readonly applied: number;
}

export interface Behind extends HostProgress {
  /** Null when nobody said. */
  readonly reason: string | null;
}

export interface Convergence {
  readonly done: boolean;
  /** Live hosts that have applied it. */
  readonly hosts: readonly HostProgress[];
  readonly behind: readonly Behind[];
}

/** Somebody may have begun to listen a moment ago. */
const ASK_AGAIN_MS = 1000;
/** Of the wait, so that the last answers come before its end. */
const MARGIN_MS = 200;

/** Ends early when `signal` aborts. */
export async function converge(
  deps: ConvergeDeps,
  wanted: Wanted,
  signal: AbortSignal,
): Promise<Convergence> {
  const { board, inquiry, clock, newId, heard = () => [] } = deps;
  const untilMs = clock.nowMs() + wanted.waitMs;
  const answers = new Map<string, AppliedAnswer>();
  const look = (): Convergence => progress(board, heard(), answers, wanted);
  let now = look();
  if (now.done) return now;
  const waker = createWaker(clock);
  const forget = board.onChange(waker.wake);
  const id = newId();
  let stopListening: (() => void) | null = null;
  let askAtMs = clock.nowMs();
  try {
    for (;;) {
      const leftMs = untilMs - clock.nowMs();
      if (now.done || leftMs <= 0 || signal.aborted) return now;
      if (clock.nowMs() >= askAtMs) {
        askAtMs = clock.nowMs() + ASK_AGAIN_MS;
        const margin = Math.min(MARGIN_MS, leftMs / 4);
        stopListening ??= tried(() =>
          inquiry.answers(id, (answer) => {
            answers.set(answer.node, answer);
            waker.wake();
          }),
        );
        const waitMs = Math.min(leftMs - margin, QUESTION_MS_MAX);
        tried(() => inquiry.ask({ id, seq: wanted.seq, waitMs }));
      }
      await waker.wait(Math.min(leftMs, Math.max(1, askAtMs - clock.nowMs())), signal);
      now = look();
    }
  } finally {
    stopListening?.();
    forget();
  }
}

/** Null while the server is away: the question is asked again. */
function tried<T>(work: () => T): T | null {
  try {
    return work();
  } catch (error) {
    if (error instanceof LogError) return null;
    throw error;
  }
}

function progress(
  board: ConvergeDeps["board"],
  heard: readonly string[],
  answers: ReadonlyMap<string, AppliedAnswer>,
  { seq, nodes }: Wanted,
): Convergence {
  const shown = new Map(board.live().map((host) => [host.node, host]));
  const names = [...new Set([...shown.keys(), ...heard, ...answers.keys()])].sort();
  const hosts: HostProgress[] = [];
  const behind: Behind[] = [];
  for (const node of names) {
    const entry = shown.get(node);
    const answer = answers.get(node);
    const applied = Math.max(entry?.applied ?? 0, answer?.applied ?? 0);
    if (applied >= seq) hosts.push({ node, applied });
    else behind.push({ node, applied, reason: answer?.reason ?? reasonOf(entry) });
  }
  const done = board.known() && behind.length === 0 && hosts.length >= nodes;
  return { done, hosts, behind };
}

function reasonOf(entry: BoardHost | undefined): string | null {
  const [problem] = entry?.problems ?? [];
  if (entry === undefined || (problem === undefined && entry.state === "ready")) return null;
  return problem === undefined ? entry.state : `${entry.state}: ${problem}`;
}

/** `h2 is at 4 (frozen: the stream is gone)`, for people. */
export function behindText({ node, applied, reason }: Behind): string {
  return `${node} is at ${applied}${reason === null ? "" : ` (${reason})`}`;
}
