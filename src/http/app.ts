// The fabric's HTTP hook: route groups, one file each, behind one authentication. `createApp` needs
// no socket; tcp-server.ts gives it one.

import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import { LogError } from "../events/log.ts";
import { PastError } from "../events/past.ts";
import { accessLog } from "./access-log.ts";
import { authenticate } from "./auth.ts";
import type { Env } from "./context.ts";
import type { HookDeps } from "./deps.ts";
import { rateLimits, sizeLimits, timeLimit } from "./limits.ts";
import { isProblemStatus, Problem, problem } from "./problem.ts";
import { createRouter } from "./router.ts";
import { auditRoutes } from "./routes-audit.ts";
import { convergedRoutes } from "./routes-converged.ts";
import { deadLetterReads, deliveriesOnRequest } from "./routes-dead-letter.ts";
import { eventRoutes } from "./routes-events.ts";
import { foundRoutes } from "./routes-found.ts";
import { healthRoutes } from "./routes-health.ts";
import { liveRoutes } from "./routes-live.ts";
import { metricsRoutes } from "./routes-metrics.ts";
import { pastRoutes } from "./routes-past.ts";
import { previewRoutes } from "./routes-preview.ts";
import { stateRoutes } from "./routes-state.ts";
import { streamRoutes } from "./routes-stream.ts";
import { webhookReads, webhookWrites } from "./routes-webhook.ts";
import { configWrites, leaseWrites, peerWrites } from "./routes-write.ts";

/** Routes that answer when something has happened. */
const WAITING: ReadonlySet<string> = new Set(["/v1/converged"]);

export type HookApp = OpenAPIHono<Env>;

export function createApp(deps: HookDeps): HookApp {
  const app = createRouter();
  app.use(accessLog(deps), ...sizeLimits(), authenticate(deps), rateLimits(deps));
  app.use(timeLimit(WAITING));
  app.route("/", healthRoutes(deps));
  app.route("/", metricsRoutes(deps));
  app.route("/", stateRoutes(deps));
  app.route("/", liveRoutes(deps));
  // Before the pages of events, which answer what is left of the same path.
  app.route("/", streamRoutes(deps));
  app.route("/", eventRoutes(deps));
  app.route("/", pastRoutes(deps));
  app.route("/", previewRoutes(deps));
  app.route("/", convergedRoutes(deps));
  app.route("/", foundRoutes(deps));
  app.route("/", peerWrites(deps));
  app.route("/", leaseWrites(deps));
  app.route("/", configWrites(deps));
  app.route("/", webhookWrites(deps));
  app.route("/", webhookReads(deps));
  app.route("/", deadLetterReads(deps));
  app.route("/", deliveriesOnRequest(deps));
  app.route("/", auditRoutes(deps));
  document(app, deps);
  app.notFound(refuseUnknown(app));
  app.onError((error, c) => {
    if (error instanceof Problem) return problem(c, error.status, error.message, error.more);
    if (error instanceof HTTPException) {
      const { status, message } = error;
      return problem(c, isProblemStatus(status) ? status : 400, message);
    }
    if (error instanceof PastError) {
      const status = error.kind === "damaged" ? 503 : 404;
      return problem(c, status, error.message, { parameter: error.at });
    }
    // The log is away, or will not take it: the caller's to repeat, not a fault of this program.
    if (error instanceof LogError) return problem(c, 503, error.message);
    deps.logger.error("request failed", { path: c.req.path, reason: String(error) });
    return problem(c, 500, "an error of this server; its log has the reason");
  });
  return app;
}

/** A path that takes other methods is not unknown. */
function refuseUnknown(app: HookApp): (c: Context<Env>) => Response {
  const routes = app.routes
    .filter(({ method }) => method !== "ALL")
    .map(({ method, path }) => ({
      method,
      pattern: new RegExp(`^${path.replaceAll(/:\w+/g, "[^/]+").replaceAll(".", "\\.")}$`),
    }));
  return (c) => {
    const { method, path } = c.req;
    const allowed = routes.filter(({ pattern }) => pattern.test(path)).map((route) => route.method);
    if (allowed.length === 0) return problem(c, 404, `no such resource: ${method} ${path}`);
    const allow = [...new Set(allowed)].join(", ");
    c.header("allow", allow);
    return problem(c, 405, `${path} takes ${allow}, not ${method}`);
  };
}

function document(app: HookApp, { fabric, version }: HookDeps): void {
  app.openAPIRegistry.registerComponent("securitySchemes", "bearer", {
    type: "http",
    scheme: "bearer",
    description: "A token made by `heddle token create`",
  });
  app.doc31("/openapi.json", {
    openapi: "3.1.0",
    info: {
      title: "Heddle",
      version,
      description: `The log of fabric ${fabric}: what the network is, was, and will be`,
    },
  });
}
