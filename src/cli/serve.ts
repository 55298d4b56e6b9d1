// heddle serve: the fabric's HTTP hook. It follows the log, answers from it, and keeps nothing of
// its own; it needs no privileges and runs on any machine that reaches the log.

import { originOf } from "../events/checkpoint.ts";
import { readSignerFile, type SignerKey } from "../http/audit-key.ts";
import { createHook } from "../http/hook.ts";
import { serveTcp } from "../http/tcp-server.ts";
import { readWebhookKeyFile, type WebhookKey } from "../http/webhook-key.ts";
import { logOptions } from "./connection.ts";
import type { Deps } from "./deps.ts";
import { EXIT_OK, misuse } from "./failure.ts";
import type { HttpFlags, LogFlags } from "./flags.ts";
import { httpOptions } from "./http-options.ts";
import { type LogFormat, type LogLevel, openLogger } from "./logging.ts";

export interface ServeFlags extends LogFlags, HttpFlags {
  readonly auditKey?: string;
  readonly webhookKey?: readonly string[];
  readonly webhookAllow?: readonly string[];
  readonly logLevel?: LogLevel;
  readonly logFormat?: LogFormat;
}

export async function serve(deps: Deps, flags: ServeFlags): Promise<number> {
  const listen = httpOptions(flags);
  const key = await signerOf(flags);
  const webhookKeys = await webhookKeysOf(flags);
  const { logLevel: level = "info", logFormat: format = "human", fabric } = flags;
  const logger = openLogger(deps.out, { level, format, fixed: { fabric } });
  const connection = await deps.connectLog({
    ...logOptions(flags),
    keepTrying: true,
    name: "heddle serve",
    // Of its own, so that its replies need no permission that others have.
    inboxPrefix: "_INBOX_serve",
  });
  const { clock, version, wallMs } = deps;
  const { log, status: board, inquiry, foundInquiry, checkpoints, createCheckpoints } = connection;
  const newId = (): string => crypto.randomUUID();
  const { webhookAllow: allow = [] } = flags;
  const webhooks = { queue: connection.webhooks, keys: webhookKeys, allow };
  const hook = createHook({
    ...{ fabric, version, log, board, inquiry, foundInquiry },
    ...{ checkpoints, createCheckpoints, key },
    ...{ clock, wallMs, logger, newId, webhooks },
  });
  const stop = new AbortController();
  const forget = deps.onSignal(() => stop.abort());
  try {
    const following = hook.run(stop.signal);
    const { page } = await import("../http/web-page.ts");
    const server = serveTcp(hook.app, { ...listen, page });
    logger.info("listening", { url: server.url });
    await following;
    await server.close();
  } finally {
    stop.abort();
    forget();
    await connection.close();
  }
  return EXIT_OK;
}

/** Throws Failure. */
async function signerOf({ auditKey, fabric }: ServeFlags): Promise<SignerKey | null> {
  if (auditKey === undefined) return null;
  const read = await readSignerFile(auditKey, originOf(fabric));
  if (!read.ok) throw misuse(`--audit-key ${auditKey}`, read.reason);
  return read.key;
}

/** Newest first, as they are given. Throws Failure. */
async function webhookKeysOf({ webhookKey = [] }: ServeFlags): Promise<readonly WebhookKey[]> {
  const keys: WebhookKey[] = [];
  for (const path of webhookKey) {
    const read = await readWebhookKeyFile(path);
    if (!read.ok) throw misuse(`--webhook-key ${path}`, read.reason);
    keys.push(read.key);
  }
  return keys;
}
