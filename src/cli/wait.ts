// heddle wait: until every live host has applied a sequence.

import { createBoardWatch } from "../agent/board-watch.ts";
import { behindText, type Convergence, converge } from "../agent/converge.ts";
import { formatDuration } from "../events/point.ts";
import { withLog } from "./connection.ts";
import type { Deps } from "./deps.ts";
import { EXIT_FAILED, EXIT_OK, Failure, misuse } from "./failure.ts";
import type { LogFlags } from "./flags.ts";

interface WaitFlags extends LogFlags {
  readonly seq: number;
  readonly nodes?: number;
  readonly timeout?: number;
}

const TIMEOUT_MS = 60_000;

export async function wait(deps: Deps, flags: WaitFlags): Promise<number> {
  const { seq, nodes = 1, timeout: waitMs = TIMEOUT_MS } = flags;
  const { clock, wallMs } = deps;
  return await withLog(deps, flags, async ({ log, status, inquiry }) => {
    const { lastSeq } = await log.info();
    if (seq > lastSeq) throw misuse(`--seq ${seq}`, `the log ends at ${lastSeq}`);
    const board = createBoardWatch({ board: status, clock, wallMs });
    const stop = new AbortController();
    const trouble = board.run(stop.signal).then(() => new Promise<never>(() => undefined));
    try {
      const newId = (): string => crypto.randomUUID();
      const asking = converge(
        { board, inquiry, clock, newId },
        { seq, nodes, waitMs },
        stop.signal,
      );
      const reached = await Promise.race([asking, trouble]);
      if (!reached.done) throw late(reached, { seq, nodes, waitMs });
      const { length } = reached.hosts;
      const who = length === 1 ? "1 host has" : `${length} hosts have`;
      deps.out.line(`${who} applied sequence ${seq}`);
      return EXIT_OK;
    } finally {
      stop.abort();
    }
  });
}

function late(
  { hosts, behind }: Convergence,
  wanted: { readonly seq: number; readonly nodes: number; readonly waitMs: number },
): Failure {
  const { seq, nodes, waitMs } = wanted;
  const who = behind.map(behindText);
  const live = hosts.length + behind.length;
  if (live < nodes) who.unshift(`${live} live hosts, ${nodes} wanted`);
  const message = `sequence ${seq} is not applied after ${formatDuration(waitMs)}`;
  return new Failure(EXIT_FAILED, `${message}: ${who.join(", ")}`);
}
