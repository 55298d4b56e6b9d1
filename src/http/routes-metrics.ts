// GET /metrics, for Prometheus. It answers while the log is damaged too: that is when it is needed.

import { createRoute, z } from "@hono/zod-openapi";
import { guarded } from "./auth.ts";
import type { HookDeps } from "./deps.ts";
import { serverMetrics } from "./metrics-server.ts";
import { METRICS_TYPE } from "./metrics-type.ts";
import { createRouter } from "./router.ts";
import { problems } from "./schema-problem.ts";

export function metricsRoutes(deps: HookDeps) {
  const route = createRoute({
    method: "get",
    path: "/metrics",
    summary: "Figures of this server in the text format of Prometheus",
    tags: ["health"],
    ...guarded("read", deps.follower, "also while damaged"),
    responses: {
      200: { description: "The figures", content: { "text/plain": { schema: z.string() } } },
      ...problems(),
    },
  });
  return createRouter().openapi(route, async (c) =>
    c.text(await serverMetrics(deps), 200, { "content-type": METRICS_TYPE }),
  );
}
