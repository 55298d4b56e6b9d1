// Writes an export: the records of the log as they are, and between them the checkpoints that were
// signed of it. It judges nothing; a log with holes is exported with what is left of it, since that
// is when an auditor needs it most.

import { sha256 } from "../agent/sha256.ts";
import { checkpointLine, type ExportLine, recordLine } from "../events/audit-export.ts";
import { type CheckpointRecord, decodeCheckpoint } from "../events/checkpoint-record.ts";
import { lastCheckpointSeq } from "../events/checkpoint-stream.ts";
import { type EventLog, LogError } from "../events/log.ts";
import { held } from "../events/log-range.ts";
import { Frontier, leafHash } from "../events/merkle.ts";

export interface ExportSource {
  readonly fabric: string;
  readonly log: EventLog;
  readonly checkpoints: EventLog;
}

/** Inclusive at both ends, and within the log. */
export interface ExportRange {
  readonly from: number;
  readonly to: number;
}

/** Throws LogError. */
export async function* exportLines(
  { fabric, log, checkpoints }: ExportSource,
  { from, to }: ExportRange,
): AsyncIterable<ExportLine> {
  const { created, lastSeq: head } = await log.info();
  const before = await frontierBefore(log, from);
  const peaks = before.peaks.map((hash) => hash.toBase64());
  yield { kind: "heddle-audit", v: 1, fabric, created, from, peaks };
  const signed = signedOf(checkpoints, before.size);
  let next = await nextOf(signed);
  for await (const found of held(log, from, to)) {
    if (!("subject" in found)) {
      yield { kind: "missing", ...found };
      continue;
    }
    yield recordLine(found);
    for (; next !== null && next.checkpoint.size <= found.seq; next = await nextOf(signed)) {
      yield checkpointLine(next);
    }
  }
  // The first one beyond the end holds the hashes of what is missing to it: it covers the rest.
  if (next !== null && next.from <= to) yield checkpointLine(next);
  await signed.return(undefined);
  yield { kind: "end", to, head };
}

async function frontierBefore(log: EventLog, from: number): Promise<Frontier> {
  const frontier = new Frontier(sha256);
  for await (const found of held(log, 1, from - 1)) {
    if (!("subject" in found)) {
      const why = `cannot export from ${from}: the log does not hold sequence ${found.from}`;
      throw new LogError("gap", why);
    }
    frontier.push(leafHash(sha256, found));
  }
  return frontier;
}

/** Checkpoints of more than `above` records, each of more than the one before; whatever else
 *  somebody wrote to that stream is left out. */
async function* signedOf(checkpoints: EventLog, above: number): AsyncGenerator<CheckpointRecord> {
  let size = above;
  for await (const record of held(checkpoints, 1, await lastCheckpointSeq(checkpoints))) {
    const found = "subject" in record ? decodeCheckpoint(record) : null;
    if (found === null || found.checkpoint.size <= size) continue;
    size = found.checkpoint.size;
    yield found;
  }
}

async function nextOf(all: AsyncGenerator<CheckpointRecord>): Promise<CheckpointRecord | null> {
  const { done, value } = await all.next();
  return done === true ? null : value;
}
