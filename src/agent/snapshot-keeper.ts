// Keeps the snapshot file close behind the fold: soon after a change, never so often that writing a
// large state costs more than a few percent of a core.

import { type Clock, sleep } from "../events/clock.ts";
import {
  decodeSnapshot,
  encodeSnapshot,
  type Position,
  type Snapshot,
} from "../events/snapshot.ts";
import type { AgentFiles } from "./files.ts";
import type { Logger } from "./logger.ts";
import type { Tail } from "./tail.ts";
import { createWaker } from "./waker.ts";

/** While the log moves a snapshot waits until it has been quiet for so long, but not for ever. */
const SETTLE_MS = 500;
const MOVING_MS_MAX = 5000;
/**
 * What changed for no host (renewals, reports, misses) waits so long: to fold it again takes a
 * moment at the next start, to write it blocks the answer to a kernel that asks.
 */
const QUIET_MS = 10_000;
/**
 * The first one waits until the host is ready and whoever asks for that was answered: of 10 000
 * nodes it blocks for 0.1 s. A host that does not get ready is written all the same.
 */
const UNREADY_MS = 5000;
/** A pause lasts at least this many times what the last write took. */
const PAUSE_FACTOR = 30;

export interface SnapshotDeps {
  readonly files: AgentFiles;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface SnapshotKeeper {
  wake(): void;
  run(tail: Tail, signal: AbortSignal): Promise<void>;
  /** Writes now, if anything is new. */
  flush(tail: Tail): Promise<void>;
}

/** The stored snapshot of `fabric`, written for `node` if that matters; null when there is none. */
export async function loadSnapshot(
  deps: SnapshotDeps,
  fabric: string,
  node: string | null = null,
): Promise<Snapshot | null> {
  const ignored = (reason: string): null => {
    deps.logger.warn("snapshot ignored", { reason });
    return null;
  };
  const text = await deps.files.readSnapshot().catch((error: unknown) => {
    return ignored(error instanceof Error ? error.message : String(error));
  });
  if (text === null) return null;
  const decoded = decodeSnapshot(fabric, text);
  if (!decoded.ok) return ignored(decoded.reason);
  const { snapshot } = decoded;
  const follows = snapshot.state.held.node;
  if (node === null || follows === node) return snapshot;
  return ignored(`it was written for node ${follows}`);
}

/** Whether the log still moves: says how long to wait for what it does next. */
function watchMovement(clock: Clock) {
  /** The last change that was seen, and when it and the first one were. */
  let moved: { changedSeq: number; firstMs: number; lastMs: number } | null = null;
  return {
    unsettledMs(changedSeq: number): number {
      const nowMs = clock.nowMs();
      moved ??= { changedSeq, firstMs: nowMs, lastMs: nowMs };
      if (moved.changedSeq !== changedSeq) moved = { ...moved, changedSeq, lastMs: nowMs };
      return Math.min(moved.lastMs + SETTLE_MS, moved.firstMs + MOVING_MS_MAX) - nowMs;
    },
    /** What was seen is being written. */
    forget(): void {
      moved = null;
    },
  };
}

/** How long the first one may wait, asked again and again. */
function waitForReady(clock: Clock, isReady: () => boolean): () => number {
  const startMs = clock.nowMs();
  let readyMs: number | null = null;
  return () => {
    const nowMs = clock.nowMs();
    if (readyMs === null && isReady()) readyMs = nowMs;
    return (readyMs === null ? startMs + UNREADY_MS : readyMs + SETTLE_MS) - nowMs;
  };
}

export function createSnapshotKeeper(
  deps: SnapshotDeps,
  writer: string,
  isReady: () => boolean,
): SnapshotKeeper {
  const { files, clock, logger } = deps;
  const waker = createWaker(clock);
  let written: Position | null = null;
  /** Of what was last written. */
  let last = { changedSeq: -1, atMs: Number.NEGATIVE_INFINITY };
  const movement = watchMovement(clock);
  const firstMs = waitForReady(clock, isReady);

  /** How long what is new may wait. */
  function quietMs(tail: Tail): number {
    const { changedSeq } = tail.state();
    const isNews = written === null || changedSeq !== last.changedSeq;
    if (!isNews) return last.atMs + QUIET_MS - clock.nowMs();
    const ms = movement.unsettledMs(changedSeq);
    return written === null ? Math.max(firstMs(), ms) : ms;
  }

  /** One write at a time: two of them would rename each other's temporary file. */
  let busy: Promise<unknown> = Promise.resolve();

  function flush(tail: Tail): Promise<number> {
    const writing = busy.then(() => write(tail));
    busy = writing;
    return writing;
  }

  /** Milliseconds that the write took; 0 when there was nothing to write. */
  async function write(tail: Tail): Promise<number> {
    const { caughtUp, damage, seq } = tail.view();
    // Half a log is no state to start from, and a damaged one no reason to forget the good one.
    if (!caughtUp || damage !== null || seq === 0) return 0;
    const position = tail.position();
    if (written !== null && isSame(position, written)) return 0;
    const startMs = clock.nowMs();
    // The fold goes on while the file is written.
    const { changedSeq } = tail.state();
    movement.forget();
    try {
      await files.writeSnapshot(encodeSnapshot({ position, state: tail.state(), writer }));
      written = position;
      last = { changedSeq, atMs: clock.nowMs() };
    } catch (error) {
      logger.warn("snapshot not written", { reason: String(error) });
    }
    return Math.max(1, clock.nowMs() - startMs);
  }

  return {
    wake: waker.wake,
    flush: async (tail) => {
      await flush(tail);
    },
    run: async (tail, signal) => {
      while (!signal.aborted) {
        await waker.wait(null, signal);
        for (let ms = quietMs(tail); ms > 0 && !signal.aborted; ms = quietMs(tail)) {
          await waker.wait(ms, signal);
        }
        if (signal.aborted) return;
        const tookMs = await flush(tail);
        // The first one, of a log just read to its end, must not wait behind one that was not due.
        if (tookMs > 0) await sleep(clock, tookMs * PAUSE_FACTOR, signal);
      }
    },
  };
}

/** By more than the sequence: another log may have been accepted since, and be as long. */
function isSame(a: Position, b: Position): boolean {
  return a.seq === b.seq && a.created === b.created && a.chain === b.chain;
}
