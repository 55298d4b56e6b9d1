// heddle audit checkpoint: the newest one in the checkpoint stream, as the signed note it is.

import type { CheckpointRecord } from "../events/checkpoint-record.ts";
import { lastCheckpointSeq, newestCheckpoint } from "../events/checkpoint-stream.ts";
import type { EventLog } from "../events/log.ts";
import { signedBy, type VerifierKey } from "../http/audit-key.ts";
import { verifierOf } from "./audit-key-flag.ts";
import { withLog } from "./connection.ts";
import type { Deps } from "./deps.ts";
import { EXIT_FAILED, EXIT_OK, Failure } from "./failure.ts";
import type { LogFlags } from "./flags.ts";

interface CheckpointFlags extends LogFlags {
  readonly key?: string;
  readonly json?: boolean;
}

export async function auditCheckpoint(deps: Deps, flags: CheckpointFlags): Promise<number> {
  const key = flags.key === undefined ? null : await verifierOf(flags.key);
  return await withLog(deps, flags, async ({ checkpoints }) => {
    const { checkpoint, text } = await signedCheckpoint(checkpoints, flags.fabric, key);
    const { size, root } = checkpoint;
    if (flags.json) deps.out.json({ checkpoint: text, size, root: root.toBase64() });
    else deps.out.raw(text);
    return EXIT_OK;
  });
}

/** Of `key`, or of any when it is null. Throws Failure when there is none. */
export async function signedCheckpoint(
  checkpoints: EventLog,
  fabric: string,
  key: VerifierKey | null,
): Promise<CheckpointRecord> {
  const last = await lastCheckpointSeq(checkpoints);
  const counts = ({ note }: CheckpointRecord): boolean =>
    key === null || signedBy(note, key) === "valid";
  const found = await newestCheckpoint(checkpoints, last, counts);
  if (found !== null) return found;
  const by = key === null ? "" : ` by ${key.text}`;
  const advice = "start `heddle serve` with --audit-key";
  throw new Failure(EXIT_FAILED, `no checkpoint of fabric ${fabric} is signed${by}: ${advice}`);
}
