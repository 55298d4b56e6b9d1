// heddle serve: the fabric's HTTP hook. It follows the log, answers from it, and keeps nothing of
// its own; it needs no privileges and runs on any machine that reaches the log.

import { createApp } from "../http/app.ts";
import { createFollower } from "../http/follower.ts";
import { serveTcp } from "../http/tcp-server.ts";
import { logOptions } from "./connection.ts";
import type { Deps } from "./deps.ts";
import { EXIT_OK } from "./failure.ts";
import type { HttpFlags, LogFlags } from "./flags.ts";
import { httpOptions } from "./http-options.ts";
import { type LogFormat, type LogLevel, openLogger } from "./logging.ts";

export interface ServeFlags extends LogFlags, HttpFlags {
  readonly logLevel?: LogLevel;
  readonly logFormat?: LogFormat;
}

export async function serve(deps: Deps, flags: ServeFlags): Promise<number> {
  const listen = httpOptions(flags);
  const { logLevel: level = "info", logFormat: format = "human", fabric } = flags;
  const logger = openLogger(deps.out, { level, format, fixed: { fabric } });
  const connection = await deps.connectLog({
    ...logOptions(flags),
    keepTrying: true,
    name: "heddle serve",
  });
  const { clock, version, wallMs } = deps;
  const { log, status: board } = connection;
  const follower = createFollower({ log, clock, fabric });
  const newId = (): string => crypto.randomUUID();
  const app = createApp({
    ...{ fabric, version, follower, log, board, clock, wallMs, logger, newId },
  });
  const stop = new AbortController();
  const forget = deps.onSignal(() => stop.abort());
  try {
    const following = follower.run(stop.signal);
    const server = serveTcp(app, listen);
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
