// The port to the hosts themselves: a question to all of them, which each answers when it has
// become true for it, or when time is up. Nothing is stored and nothing is decided by it; a host
// that does not answer is seen on the status board.

/** A host keeps no question for longer; who waits longer asks again. */
export const QUESTION_MS_MAX = 3_600_000;

/** "Who has applied `seq`?" */
export interface AppliedQuestion {
  /** Unique per question; asking again under one id repeats the question. */
  readonly id: string;
  readonly seq: number;
  /** For how long the asker will listen, in milliseconds, at most QUESTION_MS_MAX. */
  readonly waitMs: number;
}

export interface AppliedAnswer {
  /** Who answers, as the server authenticated it. */
  readonly node: string;
  readonly applied: number;
  /** Why it has not applied what was asked for; null when it has. */
  readonly reason: string | null;
}

/** "What did you find when you last looked at your kernel?", asked of one host. */
export interface FoundInquiry {
  /**
   * The answer of `node`, which the caller checks; "nobody" when no such host listens, "silent"
   * when it did not answer in time. `id` is unique per question. Throws LogError.
   */
  ask(node: string, id: string, waitMs: number): Promise<Uint8Array | "nobody" | "silent">;
  /**
   * Answers each question to `node` with what `answer` returns, if anything, until `signal`
   * aborts; lives through lost connections.
   */
  listen(node: string, answer: () => Uint8Array | null, signal: AbortSignal): Promise<void>;
}

export interface Inquiry {
  /** Asks once; nobody may hear it. Throws LogError. */
  ask(question: AppliedQuestion): void;
  /**
   * Calls `onAnswer` for each answer to question `id`; the returned function ends that. Throws
   * LogError.
   */
  answers(id: string, onAnswer: (answer: AppliedAnswer) => void): () => void;
  /** What cannot be sent is lost. */
  answer(id: string, answer: AppliedAnswer): void;
  /**
   * Calls `onQuestion` for each question, until `signal` aborts; lives through lost connections.
   */
  listen(onQuestion: (question: AppliedQuestion) => void, signal: AbortSignal): Promise<void>;
}
