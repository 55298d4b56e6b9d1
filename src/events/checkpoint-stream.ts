// Looking into the stream of checkpoints from its end: what matters is the newest one that counts,
// and anybody who may write there may have written something else after it.

import { type CheckpointRecord, decodeCheckpoint } from "./checkpoint-record.ts";
import { type EventLog, LogError } from "./log.ts";

/** Zero also when there is no such stream: nobody signs this log. Throws LogError. */
export async function lastCheckpointSeq(checkpoints: EventLog): Promise<number> {
  try {
    return (await checkpoints.info()).lastSeq;
  } catch (error) {
    if (error instanceof LogError && error.kind === "missing") return 0;
    throw error;
  }
}

/** The last one up to `lastSeq` that `counts`. Throws LogError. */
export async function newestCheckpoint(
  checkpoints: EventLog,
  lastSeq: number,
  counts: (found: CheckpointRecord) => boolean,
): Promise<CheckpointRecord | null> {
  for (let seq = lastSeq; seq > 0; seq--) {
    const record = await checkpoints.get(seq);
    const found = record === null ? null : decodeCheckpoint(record);
    if (found !== null && counts(found)) return found;
  }
  return null;
}
