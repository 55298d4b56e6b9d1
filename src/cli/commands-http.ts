// Commands about the fabric's HTTP hook: serving it, and who may use it.

import { parseCidr } from "../events/address.ts";
import type { CommandSpec } from "./command.ts";
import {
  duration,
  expecting,
  flag,
  httpFlags,
  logFlags,
  loggingFlags,
  oneOf,
  onLog,
  peerName,
} from "./flags.ts";

const scope = oneOf(["read", "write", "admin"]);
const listed = expecting((text) => text.split(",").filter((part) => part !== ""), "");
const cidrs = expecting((text) => {
  const found = text.split(",").map(parseCidr);
  return found.includes(null) ? null : found;
}, "expected prefixes without host bits, with commas between, as 10.9.0.0/24");

export const httpCommands: readonly CommandSpec[] = [
  {
    name: "serve",
    summary: "the fabric's HTTP hook: reads, changes, waits; needs no privileges",
    options: (env) => [
      ...logFlags(env),
      ...httpFlags(env, "127.0.0.1:8480"),
      flag(env, "--audit-key <file>", "sign checkpoints of the log with this key"),
      flag(env, "--webhook-key <files>", "sign webhooks with these; the newest first", listed),
      flag(
        env,
        "--webhook-allow <cidrs>",
        "where webhooks may go although it is private, or without TLS",
        cidrs,
      ),
      ...loggingFlags(env),
    ],
    examples: [
      "serve",
      "serve --http 0.0.0.0:8480 --http-tls-cert cert.pem --http-tls-key key.pem",
    ],
    load: async () => (await import("./serve.ts")).serve,
  },
  {
    name: "token create",
    summary: "make a token for the HTTP hook; it is printed once",
    options: onLog((env) => [
      flag(
        env,
        "--name <name>",
        "whose it is: shown in every event",
        peerName,
      ).makeOptionMandatory(),
      flag(
        env,
        "--scope <scope>",
        "read, write or admin; each holds those before it",
        scope,
      ).makeOptionMandatory(),
      flag(env, "--expires <duration>", "ends after (default: never)", duration),
    ]),
    examples: [
      "token create --name ci --scope write --expires 90d",
      "token create --name dashboard --scope read",
    ],
    load: async () => (await import("./token.ts")).tokenCreate,
  },
  {
    name: "token list",
    summary: "tokens that were made and not revoked",
    options: onLog(),
    examples: ["token list", "token list --json"],
    load: async () => (await import("./token.ts")).tokenList,
  },
  {
    name: "token revoke <name>",
    summary: "end a token",
    options: onLog(),
    examples: ["token revoke ci"],
    load: async () => (await import("./token.ts")).tokenRevoke,
  },
];
