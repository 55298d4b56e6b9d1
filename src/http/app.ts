// The fabric's HTTP hook: route groups, one file each, behind one authentication. `createApp` needs
// no socket; tcp-server.ts gives it one.

import type { OpenAPIHono } from "@hono/zod-openapi";
import { LogError } from "../events/log.ts";
import { authenticate } from "./auth.ts";
import type { Env } from "./context.ts";
import type { HookDeps } from "./deps.ts";
import { Problem, problem } from "./problem.ts";
import { createRouter } from "./router.ts";
import { auditRoutes } from "./routes-audit.ts";
import { healthRoutes } from "./routes-health.ts";
import { stateRoutes } from "./routes-state.ts";

export type HookApp = OpenAPIHono<Env>;

export function createApp(deps: HookDeps): HookApp {
  const app = createRouter();
  app.use(authenticate(deps));
  app.route("/", healthRoutes(deps));
  app.route("/", stateRoutes(deps));
  app.route("/", auditRoutes(deps));
  document(app, deps);
  app.notFound((c) => problem(c, 404, `no such resource: ${c.req.method} ${c.req.path}`));
  app.onError((error, c) => {
    if (error instanceof Problem) return problem(c, error.status, error.message, error.more);
    // The log is away, or will not take it: the caller's to repeat, not a fault of this program.
    if (error instanceof LogError) return problem(c, 503, error.message);
    deps.logger.error("request failed", { path: c.req.path, reason: String(error) });
    return problem(c, 500, "an error of this server; its log has the reason");
  });
  return app;
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
