// heddle audit keygen: a new signing key into a file, its public half to stdout.

import { originOf } from "../events/checkpoint.ts";
import { newSigner, writeSignerFile } from "../http/audit-key.ts";
import type { Deps } from "./deps.ts";
import { EXIT_OK, misuse } from "./failure.ts";

interface KeygenFlags {
  readonly fabric: string;
  readonly json?: boolean;
}

export async function auditKeygen(
  deps: Deps,
  flags: KeygenFlags,
  [file = ""]: readonly string[],
): Promise<number> {
  const { text, key } = newSigner(originOf(flags.fabric));
  try {
    await writeSignerFile(file, text);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    const reason = code === "EEXIST" ? "exists already; a key is never overwritten" : code;
    throw misuse(file, reason);
  }
  if (flags.json) deps.out.json({ file, key: key.text });
  else deps.out.line(key.text);
  return EXIT_OK;
}
