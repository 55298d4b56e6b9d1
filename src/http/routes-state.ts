// GET /v1/state, /v1/nodes, /v1/leases, /v1/peers: the folded log. Every answer says in the header
// Heddle-Seq up to which sequence it is folded.

import { createRoute, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { FabricState } from "../events/state.ts";
import { guarded } from "./auth.ts";
import type { Env } from "./context.ts";
import type { HookDeps } from "./deps.ts";
import { createRouter } from "./router.ts";
import { problems } from "./schema-problem.ts";
import { leaseSchema, nodeSchema, peerSchema, stateSchema } from "./schema-view.ts";
import { leasesView, nodesView, peersView, stateView } from "./views.ts";

export function stateRoutes(deps: HookDeps) {
  const { follower } = deps;
  const read = guarded("read", follower);

  async function head(c: Context<Env>): Promise<Readonly<FabricState>> {
    const stale = await follower.fresh();
    if (stale !== null) c.header("heddle-stale", stale);
    const state = follower.state();
    c.header("heddle-seq", String(state.seq));
    return state;
  }

  return createRouter()
    .openapi(
      createRoute({
        ...describe("state", "The whole folded state", stateSchema),
        ...read,
      }),
      async (c) => c.json(stateView(await head(c)), 200),
    )
    .openapi(
      createRoute({
        ...describe("nodes", "Every host the fabric has seen", z.array(nodeSchema).readonly()),
        ...read,
      }),
      async (c) => c.json(nodesView(await head(c)), 200),
    )
    .openapi(
      createRoute({
        ...describe(
          "leases",
          "Who holds or may hold which subnet",
          z.array(leaseSchema).readonly(),
        ),
        ...read,
      }),
      async (c) => c.json(leasesView(await head(c)), 200),
    )
    .openapi(
      createRoute({
        ...describe("peers", "Foreign VTEPs", z.array(peerSchema).readonly()),
        ...read,
      }),
      async (c) => c.json(peersView(await head(c)), 200),
    );
}

function describe<const P extends string, S extends z.ZodType>(
  what: P,
  summary: string,
  schema: S,
) {
  return {
    method: "get",
    path: `/v1/${what}`,
    summary,
    tags: ["state"] as string[],
    responses: {
      200: { description: summary, content: { "application/json": { schema } } },
      ...problems(),
    },
  } as const;
}
