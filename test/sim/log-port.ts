// The log and the board as one process sees them: through its own line to the server, which may be
// cut or deliver slowly, and which notes down what came through.

import { type Append, type EventLog, LogError, type Recorded } from "../../src/events/log.ts";
import type { StatusBoard } from "../../src/events/status-board.ts";
import type { MemoryClient } from "../support/log-memory.ts";
import type { Gate } from "./gate.ts";
import type { Lineage } from "./lineage.ts";
import type { Prng } from "./prng.ts";
import type { SimClock } from "./sim-clock.ts";

/** How late a message may arrive. */
export const LATE_MS_MAX = 4000;

export interface LineFaults {
  /** A batch comes in pieces with pauses between them. */
  slowCatchUp: number;
  /** The caller is told `unreachable`, and the message arrives seconds later. */
  lateAppend: number;
}

export interface LogPortDeps {
  readonly client: MemoryClient;
  readonly gate: Gate;
  readonly clock: SimClock;
  readonly random: Prng;
  readonly lineage: Lineage;
  readonly faults: LineFaults;
}

export function logPort(deps: LogPortDeps): EventLog {
  const { client, gate, lineage, clock, random, faults } = deps;

  async function note<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (gate.alive && error instanceof LogError && error.kind === "missing") lineage.sawMissing();
      if (gate.alive && error instanceof LogError && error.kind === "gap") lineage.sawGap();
      throw error;
    }
  }

  async function append(message: Append): ReturnType<EventLog["append"]> {
    if (random.chance(faults.lateAppend)) {
      clock.after(random.int(500, LATE_MS_MAX), () => {
        // Its sender has long given up waiting; whether it arrives is the line's matter.
        client.log.append(message).catch(ignoreLogError);
      });
      await clock.wait(random.int(10, 300));
      throw new LogError("unreachable", "no answer");
    }
    return await client.log.append(message);
  }

  return {
    info: () =>
      gate.pass(async () => {
        const info = await note(client.log.info());
        if (gate.alive) lineage.sawInfo(info);
        return info;
      }),
    get: (seq) =>
      gate.pass(async () => {
        const record = await note(client.log.get(seq));
        if (gate.alive) lineage.sawRecord(seq, record);
        return record;
      }),
    append: (message) => gate.pass(() => append(message)),
    read: (...range) => readThrough(deps, note, range),
  };
}

/** Notes each record as it is given out, and stops giving at once when the process is dead. */
async function* readThrough(
  { client, gate, lineage, clock, random, faults }: LogPortDeps,
  note: <T>(work: Promise<T>) => Promise<T>,
  [from, signal, reading]: Parameters<EventLog["read"]>,
): AsyncIterable<readonly Recorded[]> {
  if (!gate.alive) return;
  // Who has applied something and reads from the first record checks it, and folds none of it.
  const again = from === 1 && lineage.seq > 0;
  if (!again) lineage.startsReading();
  const inner = new AbortController();
  const stop = () => inner.abort();
  signal.addEventListener("abort", stop, { once: true });
  const undo = gate.onDeath(stop);
  try {
    const batches = client.log.read(from, inner.signal, reading)[Symbol.asyncIterator]();
    for (;;) {
      const next = gate.pass(() => batches.next());
      const batch = await (again ? next : note(next));
      if (batch.done) return;
      for (let rest = batch.value; rest.length > 0; ) {
        const size = random.chance(faults.slowCatchUp) ? random.int(1, 4) : rest.length;
        const piece = rest.slice(0, size);
        rest = rest.slice(size);
        if (!again) for (const record of piece) lineage.received(record);
        yield piece;
        if (rest.length > 0) await gate.pass(() => clock.wait(random.int(1, 40)));
        if (signal.aborted) return;
      }
    }
  } finally {
    undo();
    signal.removeEventListener("abort", stop);
    inner.abort();
  }
}

export function boardPort({ client, gate }: Pick<LogPortDeps, "client" | "gate">): StatusBoard {
  const { status } = client;
  return {
    publish: (node, payload) => gate.pass(() => status.publish(node, payload)),
    list: () => gate.pass(() => status.list()),
    watch: (signal) => status.watch(signal),
  };
}

export function ignoreLogError(error: unknown): void {
  if (!(error instanceof LogError)) throw error;
}
