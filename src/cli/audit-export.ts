// heddle audit export: what an auditor takes away. Written in large pieces: a million records are
// half a gigabyte.

import type { EventLog } from "../events/log.ts";
import { instantOf, type Point } from "../events/point.ts";
import { exportLines } from "../http/audit-export.ts";
import { withLog } from "./connection.ts";
import type { Deps } from "./deps.ts";
import { EXIT_OK, misuse } from "./failure.ts";
import type { LogFlags } from "./flags.ts";
import { jsonText } from "./output.ts";

interface ExportFlags extends LogFlags {
  readonly from?: Point;
  readonly to?: Point;
}

const PIECE_CHARS = 65_536;

export async function auditExport(deps: Deps, flags: ExportFlags): Promise<number> {
  return await withLog(deps, flags, async ({ log, checkpoints }) => {
    const range = await rangeOf(log, flags, deps.wallMs());
    let piece = "";
    for await (const line of exportLines({ fabric: flags.fabric, log, checkpoints }, range)) {
      piece += `${jsonText(line)}\n`;
      if (piece.length < PIECE_CHARS) continue;
      deps.out.raw(piece);
      piece = "";
    }
    deps.out.raw(piece);
    return EXIT_OK;
  });
}

/** Throws Failure when the log has no such places. */
async function rangeOf(log: EventLog, { from, to }: ExportFlags, nowMs: number) {
  const { lastSeq } = await log.info();
  const first = from === undefined ? 1 : await seqAt(log, from, nowMs, lastSeq, "first");
  const last = to === undefined ? lastSeq : await seqAt(log, to, nowMs, lastSeq, "last");
  const ends = lastSeq === 0 ? "the log is empty" : `the log ends at ${lastSeq}`;
  if (from !== undefined && first > lastSeq) throw misuse(`--from ${from.text}`, ends);
  if (to !== undefined && last > lastSeq) throw misuse(`--to ${to.text}`, ends);
  if (to !== undefined && last < first) throw misuse(`--to ${to.text}`, "holds no record");
  return { from: first, to: last };
}

/** The first record at or after a point, or the last at or before it, by the stream's stamps. */
async function seqAt(
  log: EventLog,
  point: Point,
  nowMs: number,
  lastSeq: number,
  which: "first" | "last",
): Promise<number> {
  const instantMs = instantOf(point, nowMs);
  if (point.kind === "seq" || instantMs === null) return point.kind === "seq" ? point.seq : 1;
  const isBefore = (timeMs: number): boolean =>
    which === "first" ? timeMs < instantMs : timeMs <= instantMs;
  let [below, above] = [0, lastSeq + 1];
  while (above - below > 1) {
    const middle = Math.floor((below + above) / 2);
    const record = await log.get(middle);
    if (record !== null && isBefore(record.timeMs)) below = middle;
    else above = middle;
  }
  return which === "first" ? above : below;
}
