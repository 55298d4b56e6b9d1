// The port to what a webhook has yet to hear: a durable cursor over the log that any number of
// servers share, and notes on what went wrong. The implementation is nats-webhook-queue.ts.
//
// Invariant: one record of a webhook is out at a time, and the next comes after `done`; a record
// whose holder falls silent comes again. So it is in order, and at least once.

/** One record of the log, to be dealt with. */
export interface Queued {
  readonly seq: number;
  /** How often it was handed out, this time included. */
  readonly attempt: number;
  /** Says that it is being worked on; to be called at least every PROGRESS_MS. */
  progress(): void;
  /** The cursor moves on. Throws LogError; then the record comes again. */
  done(): Promise<void>;
  /** It comes again after `delayMs`. Throws LogError; then it comes again sooner. */
  again(delayMs: number): Promise<void>;
}

/** Why a webhook stands still. */
export interface Failing {
  /** The event it tries to deliver, and the last attempt at it. */
  readonly seq: number;
  readonly attempt: number;
  /** Status of the answer, or null when there was none. */
  readonly status: number | null;
  readonly reason: string;
  /** Milliseconds since the epoch: first failure since it last worked, last, next attempt. */
  readonly sinceMs: number;
  readonly atMs: number;
  readonly nextMs: number | null;
}

/** An event that was given up. */
export interface DeadLetter {
  readonly seq: number;
  readonly attempts: number;
  readonly status: number | null;
  readonly reason: string;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
}

export interface CursorView {
  /** Everything up to here is dealt with. */
  readonly seq: number;
  /** Records of the log after that. */
  readonly behind: number;
}

/** How often a holder must say that it is at work. */
export const PROGRESS_MS = 1500;

/** All of it throws LogError. Webhooks are named by their id (webhook.ts). */
export interface WebhookQueue {
  /** Makes the cursor unless it is there; `from` is the first record it is to hand out. */
  open(id: string, from: number): Promise<void>;
  /** The next record, or null when none came for some seconds or `signal` aborted. */
  next(id: string, signal: AbortSignal): Promise<Queued | null>;
  /** Null when there is no cursor. */
  view(id: string): Promise<CursorView | null>;
  /** Of all cursors there are. */
  ids(): Promise<readonly string[]>;
  /** Removes the cursor and all notes; none there is fine. */
  remove(id: string): Promise<void>;
  /** Null when it works. */
  failing(id: string): Promise<Failing | null>;
  noteFailing(id: string, failing: Failing | null): Promise<void>;
  bury(id: string, letter: DeadLetter): Promise<void>;
  /** Sequences of all dead letters, in order. */
  dead(id: string): Promise<readonly number[]>;
  /** Null when it is not dead. */
  letter(id: string, seq: number): Promise<DeadLetter | null>;
  unbury(id: string, seq: number): Promise<void>;
}
