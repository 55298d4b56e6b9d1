// Looking into the stream of checkpoints from its end: what matters is the newest one that counts,
// and anybody who may write there may have written something else after it.

import { type CheckpointRecord, decodeCheckpoint } from "./checkpoint-record.ts";
import { type EventLog, LogError, type Recorded } from "./log.ts";
import { held } from "./log-range.ts";

/** Zero also when there is no such stream: nobody signs this log. Throws LogError. */
export async function lastCheckpointSeq(checkpoints: EventLog): Promise<number> {
  try {
    return (await checkpoints.info()).lastSeq;
  } catch (error) {
    if (error instanceof LogError && error.kind === "missing") return 0;
    throw error;
  }
}

/** Asked for one by one: mostly the first of them counts. Each has up to 175 kB. */
const FEW = 16;
/** Read in one go: 25 times as fast. */
const STEP = 1000;

/** The last one up to `lastSeq` that `counts`. Throws LogError. */
export async function newestCheckpoint(
  checkpoints: EventLog,
  lastSeq: number,
  counts: (found: CheckpointRecord) => boolean,
): Promise<CheckpointRecord | null> {
  const read = (record: Recorded | null): CheckpointRecord | null => {
    const found = record === null ? null : decodeCheckpoint(record);
    return found !== null && counts(found) ? found : null;
  };
  let seq = lastSeq;
  for (let seen = 0; seq > 0 && seen < FEW; seq--) {
    const record = await checkpoints.get(seq);
    const found = read(record);
    if (found !== null) return found;
    if (record !== null) seen++;
  }
  for (; seq > 0; seq -= STEP) {
    let newest: CheckpointRecord | null = null;
    for await (const each of held(checkpoints, Math.max(1, seq - STEP + 1), seq)) {
      if ("subject" in each) newest = read(each) ?? newest;
    }
    if (newest !== null) return newest;
  }
  return null;
}
