// The port to the ordered log. Implementations: log-jetstream.ts and the in-memory one in
// test/support, both under one contract suite. The port moves bytes; what they mean is the codec's.

/** One stored message. */
export interface Recorded {
  /** Position in the log, from 1, without holes (the stream denies deletion). */
  readonly seq: number;
  /** The stream's own timestamp, milliseconds since the epoch. */
  readonly timeMs: number;
  readonly subject: string;
  readonly payload: Uint8Array;
}

export interface LogInfo {
  /** Identity of the stream: changes when it is deleted and made again. */
  readonly created: string;
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** Version of the server that answered. */
  readonly server: string;
}

export interface Append {
  readonly subject: string;
  readonly payload: Uint8Array;
  /** Unique per intent; a repeated append of one id within the duplicate window stores nothing. */
  readonly id: string;
  /** Refuse unless this is the last sequence on the subject; 0 means "nothing there yet". */
  readonly expectLastSubjectSeq?: number;
}

export type Appended =
  | { readonly ok: true; readonly seq: number; readonly duplicate: boolean }
  | { readonly ok: false; readonly reason: "conflict" };

/** `unreachable`: try again later. `missing`: no such stream. `refused`: authorisation or limits.
 *  `unsupported`: the server cannot keep the promises. `gap`: records are not contiguous. */
export type LogErrorKind = "unreachable" | "missing" | "refused" | "unsupported" | "gap";

export class LogError extends Error {
  override readonly name = "LogError";
  readonly kind: LogErrorKind;
  constructor(kind: LogErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

export interface Reading {
  /** It returns after this one. */
  readonly last?: number;
  /** `created` of the log that is meant; another is `unreachable`: it has to be looked at. */
  readonly created?: string;
}

export interface EventLog {
  /** Throws LogError. */
  info(): Promise<LogInfo>;
  /** The record at `seq`, or null when the log does not hold it. Throws LogError. */
  get(seq: number): Promise<Recorded | null>;
  /**
   * Batches of records from `from` on, contiguous, then live as they are stored. Returns when
   * `signal` aborts, and after `last`; throws LogError on any trouble, after which the caller reads
   * again from where it stands. Never skips, repeats or waits silently on a dead consumer.
   */
  read(from: number, signal: AbortSignal, more?: Reading): AsyncIterable<readonly Recorded[]>;
  /**
   * Stores one message. An unclear outcome (timeout, lost connection) is resolved before it
   * returns by asking again under the same id; throws LogError when it cannot be.
   */
  append(message: Append): Promise<Appended>;
}
