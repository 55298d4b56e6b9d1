// The port to the hosts themselves: a question to all of them, which each answers when it has
// become true for it, or when time is up. Nothing is stored and nothing is decided by it; a host
// that does not answer is seen on the status board.

/** "Who has applied `seq`?" */
export interface AppliedQuestion {
  /** Unique per question; asking again under one id repeats the question. */
  readonly id: string;
  readonly seq: number;
  /** For how long the asker will listen, in milliseconds. */
  readonly waitMs: number;
}

export interface AppliedAnswer {
  /** Who answers, as the server authenticated it. */
  readonly node: string;
  readonly applied: number;
  /** Why it has not applied what was asked for; null when it has. */
  readonly reason: string | null;
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
