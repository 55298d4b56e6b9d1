// The port to the board where each host shows how far it has come: one entry per host, the last
// one. It is not history and nothing is decided by it. How often a host publishes is the caller's
// matter.

/**
 * An entry is kept for so long. It is a lease by default: whoever has been silent for longer has
 * left, or has nothing to lose.
 */
export const BOARD_AGE_MS = 24 * 3_600_000;

export interface HostStatus {
  readonly node: string;
  /** The server's timestamp of the entry, milliseconds since the epoch. */
  readonly timeMs: number;
  readonly payload: Uint8Array;
}

export interface StatusBoard {
  /** Replaces the entry of `node`. Throws LogError. */
  publish(node: string, status: Uint8Array): Promise<void>;
  /** The entries of all hosts that showed themselves lately, by node name. Throws LogError. */
  list(): Promise<readonly HostStatus[]>;
  /**
   * Every entry there is, then each new one. A superseded entry may be skipped. Returns when
   * `signal` aborts; throws LogError on any trouble, after which the caller watches again.
   */
  watch(signal: AbortSignal): AsyncIterable<HostStatus>;
}
