// Keeps the snapshot file close behind the fold: soon after a change, never so often that writing a
// large state costs more than a few percent of a core.

import { type Clock, sleep } from "../events/clock.ts";
import { decodeSnapshot, encodeSnapshot, type Snapshot } from "../events/snapshot.ts";
import type { AgentFiles } from "./files.ts";
import type { Logger } from "./logger.ts";
import type { Tail } from "./tail.ts";
import { createWaker } from "./waker.ts";

const PAUSE_MS = 500;
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

/** The stored snapshot of `fabric`, or null when there is none that can be used. */
export async function loadSnapshot(deps: SnapshotDeps, fabric: string): Promise<Snapshot | null> {
  const text = await deps.files.readSnapshot();
  if (text === null) return null;
  const decoded = decodeSnapshot(fabric, text);
  if (decoded.ok) return decoded.snapshot;
  deps.logger.warn("snapshot ignored", { reason: decoded.reason });
  return null;
}

export function createSnapshotKeeper(deps: SnapshotDeps, writer: string): SnapshotKeeper {
  const { files, clock, logger } = deps;
  const waker = createWaker(clock);
  let writtenSeq = -1;
  let tookMs = 0;

  /** One write at a time: two of them would rename each other's temporary file. */
  let busy: Promise<void> = Promise.resolve();

  function flush(tail: Tail): Promise<void> {
    busy = busy.then(() => write(tail));
    return busy;
  }

  async function write(tail: Tail): Promise<void> {
    const { caughtUp, damage, seq } = tail.view();
    // Half a log is no state to start from, and a damaged one no reason to forget the good one.
    if (!caughtUp || damage !== null || seq === writtenSeq || seq === 0) return;
    const startMs = clock.nowMs();
    try {
      const snapshot = { position: tail.position(), state: tail.state(), writer };
      await files.writeSnapshot(encodeSnapshot(snapshot));
      writtenSeq = seq;
    } catch (error) {
      logger.warn("snapshot not written", { reason: String(error) });
    }
    tookMs = clock.nowMs() - startMs;
  }

  return {
    wake: waker.wake,
    flush,
    run: async (tail, signal) => {
      while (!signal.aborted) {
        await waker.wait(null, signal);
        if (signal.aborted) return;
        await flush(tail);
        const pauseMs = Math.max(PAUSE_MS, tookMs * PAUSE_FACTOR);
        await sleep(clock, pauseMs, signal);
      }
    },
  };
}
