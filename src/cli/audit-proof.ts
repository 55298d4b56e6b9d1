// heddle audit proof: one record of the log, and the hashes from it to the newest checkpoint. It
// reads the whole log up to there; a server that has the tree answers at once, /v1/audit/proof.

import { sha256 } from "../agent/sha256.ts";
import type { EventLog, Recorded } from "../events/log.ts";
import { leafHash, sameHash } from "../events/merkle.ts";
import { MerkleTree } from "../events/merkle-tree.ts";
import { recordBytes } from "../events/record-bytes.ts";
import { tlogProofText } from "../events/tlog-proof.ts";
import { signedCheckpoint } from "./audit-checkpoint.ts";
import { withLog } from "./connection.ts";
import type { Deps } from "./deps.ts";
import { EXIT_FAILED, EXIT_OK, Failure, misuse } from "./failure.ts";
import { checkArgument, type LogFlags, wholeNumber } from "./flags.ts";

interface ProofFlags extends LogFlags {
  readonly json?: boolean;
}

export async function auditProof(
  deps: Deps,
  flags: ProofFlags,
  args: readonly string[],
): Promise<number> {
  const seq = checkArgument<number>("sequence", args[0], wholeNumber(1, Number.MAX_SAFE_INTEGER));
  return await withLog(deps, flags, async ({ log, checkpoints }) => {
    const { checkpoint, text } = await signedCheckpoint(checkpoints, flags.fabric, null);
    const { size, root } = checkpoint;
    if (seq > size) throw misuse(`sequence ${seq}`, `the newest checkpoint is of ${size} records`);
    const { tree, record } = await readTree(log, size, seq);
    if (!sameHash(tree.root(size), root)) {
      const advice = "see `heddle audit export` and `heddle audit verify`";
      throw new Failure(EXIT_FAILED, `the log is not the one that was signed: ${advice}`);
    }
    const path = tree.inclusion(seq - 1, size);
    if (flags.json) {
      const hashes = path.map((hash) => hash.toBase64());
      deps.out.json({ seq, size, path: hashes, record: record.toBase64(), checkpoint: text });
    } else deps.out.raw(tlogProofText({ record, index: seq - 1, path, checkpoint: text }));
    return EXIT_OK;
  });
}

async function readTree(log: EventLog, size: number, seq: number) {
  const tree = new MerkleTree(sha256);
  let wanted: Recorded | null = null;
  const { lastSeq } = await log.info();
  if (lastSeq < size) {
    throw new Failure(EXIT_FAILED, `the log ends at ${lastSeq}; ${size} records were signed`);
  }
  for await (const batch of log.read(1, new AbortController().signal, { last: size })) {
    for (const record of batch) {
      tree.append(leafHash(sha256, record));
      if (record.seq === seq) wanted = record;
    }
  }
  if (wanted === null) throw new Failure(EXIT_FAILED, `the log does not hold sequence ${seq}`);
  return { tree, record: recordBytes(wanted) };
}
