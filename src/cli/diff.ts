// heddle diff: two points of the log compared, for the whole fabric or as what one host had to do.

import { foldOn, foldTo } from "../events/past.ts";
import { instantOf, isoTime, type Point } from "../events/point.ts";
import type { FabricState } from "../events/state.ts";
import { fabricDiff, fabricDiffLines } from "../http/fabric-diff.ts";
import { hostDiff } from "../http/host-diff.ts";
import { withLog } from "./connection.ts";
import type { Deps } from "./deps.ts";
import { EXIT_FAILED, EXIT_OK, Failure, misuse } from "./failure.ts";
import type { LogFlags, NodeFlag } from "./flags.ts";

interface DiffFlags extends LogFlags, NodeFlag {
  readonly from: Point;
  readonly to?: Point;
  readonly json?: boolean;
}

type State = Readonly<FabricState>;

export async function diff(deps: Deps, flags: DiffFlags): Promise<number> {
  const [from, to] = await bothStates(deps, flags);
  const ends = { from: endOf(from), to: endOf(to) };
  const range = `from ${ends.from.seq} (${ends.from.time}) to ${ends.to.seq} (${ends.to.time})`;
  const { node } = flags;
  if (node !== undefined && !to.nodes.has(node)) {
    throw new Failure(EXIT_FAILED, `node ${node} is not in the fabric at sequence ${to.seq}`);
  }
  deps.out.note(range);
  if (node === undefined) {
    const found = fabricDiff(from, to);
    if (flags.json) deps.out.json({ ...ends, ...found });
    else for (const line of fabricDiffLines(found)) deps.out.line(line);
    return EXIT_OK;
  }
  const ops = hostDiff(from, to, node);
  if (flags.json) deps.out.json({ node, ...ends, ops });
  else for (const { command } of ops) deps.out.line(command);
  return EXIT_OK;
}

async function bothStates(deps: Deps, flags: DiffFlags): Promise<[State, State]> {
  const nowMs = deps.wallMs();
  const { from, to } = flags;
  return await withLog(deps, flags, async ({ log }) => {
    const until = { name: "--from", point: from };
    const before = await foldTo(log, flags.fabric, until, nowMs, flags.node);
    if (to !== undefined && isBefore(to, before, nowMs)) {
      throw misuse(`--from ${from.text}`, `is after --to ${to.text}`);
    }
    const after = structuredClone(before);
    await foldOn(log, after, to === undefined ? null : { name: "--to", point: to }, nowMs);
    return [before, after];
  });
}

function isBefore(point: Point, state: State, nowMs: number): boolean {
  const ms = instantOf(point, nowMs);
  return point.kind === "seq" ? point.seq < state.seq : ms !== null && ms < state.timeMs;
}

function endOf(state: State): { seq: number; time: string } {
  return { seq: state.seq, time: isoTime(state.timeMs) };
}
