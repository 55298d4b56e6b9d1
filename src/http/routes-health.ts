// GET /healthz, /readyz: for whoever decides whether to restart this process or to send it
// requests. Neither needs a token.

import { createRoute, z } from "@hono/zod-openapi";
import type { HookDeps } from "./deps.ts";
import { Problem } from "./problem.ts";
import { createRouter } from "./router.ts";
import { problemResponse } from "./schema-problem.ts";

const healthz = createRoute({
  method: "get",
  path: "/healthz",
  summary: "Whether the process runs",
  tags: ["health"],
  responses: {
    200: {
      description: "It does",
      content: { "application/json": { schema: z.object({ ok: z.literal(true) }) } },
    },
  },
});

const readySchema = z.object({
  /** Last sequence folded. */
  seq: z.int().nonnegative(),
  head: z.int().nonnegative(),
});

const readyz = createRoute({
  method: "get",
  path: "/readyz",
  summary: "Whether the log is followed and has been read to its end",
  tags: ["health"],
  responses: {
    200: {
      description: "It is",
      content: { "application/json": { schema: readySchema } },
    },
    503: problemResponse(503),
  },
});

export function healthRoutes({ follower }: Pick<HookDeps, "follower">) {
  return createRouter()
    .openapi(healthz, (c) => c.json({ ok: true } as const, 200))
    .openapi(readyz, (c) => {
      const { damage, trouble, connected, caughtUp, seq, head } = follower.view();
      const why = damage ?? (connected ? null : (trouble?.message ?? "the log does not answer"));
      if (why !== null) throw new Problem(503, why, { seq, head });
      if (caughtUp) return c.json({ seq, head }, 200);
      throw new Problem(503, "the log has not been read to its end yet", { seq, head });
    });
}
