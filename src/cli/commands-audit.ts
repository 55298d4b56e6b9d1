// Commands for auditors: of them only the export, the checkpoint and the proof talk to the log.

import type { CommandSpec } from "./command.ts";
import { type Env, fabricFlag, flag, jsonFlag, logFlags, onLog, point } from "./flags.ts";

const keyFlag = (env: Env, help: string) => flag(env, "--key <key>", help);

export const auditCommands: readonly CommandSpec[] = [
  {
    name: "audit keygen <file>",
    summary: "make a key that signs checkpoints; prints its public half",
    options: (env) => [fabricFlag(env), jsonFlag(env)],
    examples: ["audit keygen --fabric prod /etc/heddle/audit.key > audit.pub"],
    load: async () => (await import("./audit-keygen.ts")).auditKeygen,
  },
  {
    name: "audit export",
    summary: "the log as it is stored, with its signed checkpoints, as NDJSON",
    options: (env) => [
      ...logFlags(env),
      flag(env, "--from <seq|time>", "first record (default: 1)", point),
      flag(env, "--to <seq|time>", "last record (default: the newest)", point),
    ],
    examples: ["audit export > log.ndjson", "audit export --from 2026-01-01 --to 2026-02-01"],
    load: async () => (await import("./audit-export.ts")).auditExport,
  },
  {
    name: "audit checkpoint",
    summary: "the newest signed checkpoint of the log; keep it to hold the log to it",
    options: onLog((env) => [keyFlag(env, "refuse any that this key did not sign")]),
    examples: ["audit checkpoint --key audit.pub > kept.checkpoint"],
    load: async () => (await import("./audit-checkpoint.ts")).auditCheckpoint,
  },
  {
    name: "audit proof <seq>",
    summary: "one record with the proof that it is under the newest checkpoint",
    options: onLog(),
    examples: ["audit proof 1234 > 1234.tlog-proof"],
    load: async () => (await import("./audit-proof.ts")).auditProof,
  },
  {
    name: "audit verify <file>",
    summary: "check an export or a proof, a file or a URL, offline; names the first bad sequence",
    options: (env) => [
      keyFlag(env, "public key, or the file that holds it").makeOptionMandatory(),
      flag(env, "--kept <file>", "a checkpoint from earlier that the log must continue"),
      flag(env, "--token-file <file>", "token for a URL"),
      jsonFlag(env),
    ],
    examples: [
      "audit verify log.ndjson --key audit.pub --kept kept.checkpoint",
      "audit verify https://heddle.example/v1/audit/export --key audit.pub --token-file token",
    ],
    load: async () => (await import("./audit-verify.ts")).auditVerify,
  },
];
