// One line for each request: who, what, how it ended. Paths and names of tokens only; no query, no
// header, no body. And one count, by the route that answered.

import type { Context, MiddlewareHandler } from "hono";
import { createMiddleware } from "hono/factory";
import { matchedRoutes } from "hono/route";
import type { Env } from "./context.ts";
import type { HookDeps } from "./deps.ts";

/** Asked for every few seconds by whoever watches the process. */
const QUIET = new Set(["/healthz", "/readyz", "/metrics"]);

export function accessLog(deps: Pick<HookDeps, "clock" | "logger" | "metrics">) {
  const { clock, logger, metrics } = deps;
  const log: MiddlewareHandler<Env> = createMiddleware<Env>(async (c, next) => {
    const startMs = clock.nowMs();
    await next();
    const ms = clock.nowMs() - startMs;
    const { method, path } = c.req;
    const { status } = c.res;
    metrics.request({ ...routeOf(c), status, ms });
    const fields = {
      ...{ method, path, status },
      ms: Math.round(ms),
      token: c.get("caller")?.token ?? null,
      address: c.env?.address ?? null,
    };
    if (QUIET.has(path)) logger.debug("request", fields);
    else logger.info("request", fields);
  });
  return log;
}

/** Middleware stands on every method; what stands on one is a route. */
function routeOf(c: Context<Env>): { readonly route: string; readonly method: string } {
  const found = matchedRoutes(c).findLast(({ method }) => method !== "ALL");
  return { route: found?.path ?? "none", method: found?.method ?? "none" };
}
