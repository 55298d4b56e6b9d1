// Answers "who has applied this sequence?" for this host: at once when it has, as soon as it has
// when not yet, and with the reason when the asker's time is up. The status board shows the same at
// most once a second; a pipeline that waits wants it in milliseconds.

import type { Clock } from "../events/clock.ts";
import type { AppliedQuestion, Inquiry } from "../events/inquiry.ts";
import type { AgentStatus } from "./status.ts";

/** Questions that wait at one time; one more is answered as things are. */
const WAITING_MAX = 256;

export interface AppliedAnswers {
  /** This host has applied everything up to `seq`. */
  applied(seq: number): void;
  run(signal: AbortSignal): Promise<void>;
}

interface Waiting {
  readonly question: AppliedQuestion;
  readonly cancel: () => void;
}

export function createAppliedAnswers(deps: {
  readonly inquiry: Inquiry;
  readonly clock: Clock;
  readonly node: string;
  /** False while another instance has the name. */
  readonly mayAnswer: () => boolean;
  /** Why this host has not applied the end of the log, in a line. */
  readonly reason: () => string;
}): AppliedAnswers {
  const { inquiry, clock, node } = deps;
  const waiting = new Map<string, Waiting>();
  let appliedSeq = 0;

  function answer({ id, seq }: AppliedQuestion): void {
    waiting.get(id)?.cancel();
    waiting.delete(id);
    if (!deps.mayAnswer()) return;
    const reason = appliedSeq >= seq ? null : deps.reason();
    inquiry.answer(id, { node, applied: appliedSeq, reason });
  }

  function take(question: AppliedQuestion): void {
    const { id, seq, waitMs } = question;
    if (appliedSeq >= seq || waiting.size >= WAITING_MAX) {
      answer(question);
      return;
    }
    waiting.get(id)?.cancel();
    waiting.set(id, { question, cancel: clock.after(waitMs, () => answer(question)) });
  }

  return {
    applied: (seq) => {
      // It may go back: an operator had the log folded anew.
      appliedSeq = seq;
      for (const { question } of waiting.values()) if (seq >= question.seq) answer(question);
    },
    run: async (signal) => {
      await inquiry.listen(take, signal);
      for (const { cancel } of waiting.values()) cancel();
      waiting.clear();
    },
  };
}

const REASON_CHARS_MAX = 400;

/** Why a host in this state has not applied the end of the log, in a line. */
export function reasonBehind({ state, problems }: AgentStatus): string {
  const [problem] = problems;
  const text = problem === undefined ? state : `${state}: ${problem}`;
  return text.slice(0, REASON_CHARS_MAX);
}
