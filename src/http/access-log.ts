// One line for each request: who, what, how it ended. Paths and names of tokens only; no query, no
// header, no body.

import type { MiddlewareHandler } from "hono";
import { createMiddleware } from "hono/factory";
import type { Env } from "./context.ts";
import type { HookDeps } from "./deps.ts";

/** Asked for every few seconds by whoever watches the process. */
const QUIET = new Set(["/healthz", "/readyz", "/metrics"]);

export function accessLog({ clock, logger }: Pick<HookDeps, "clock" | "logger">) {
  const log: MiddlewareHandler<Env> = createMiddleware<Env>(async (c, next) => {
    const startMs = clock.nowMs();
    await next();
    const { method, path } = c.req;
    const fields = {
      ...{ method, path, status: c.res.status },
      ms: Math.round(clock.nowMs() - startMs),
      token: c.get("caller")?.token ?? null,
      address: c.env?.address ?? null,
    };
    if (QUIET.has(path)) logger.debug("request", fields);
    else logger.info("request", fields);
  });
  return log;
}
