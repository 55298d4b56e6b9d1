// GET /v1/state, /v1/nodes, /v1/leases, /v1/peers: the folded log, now or at any point. Every
// answer says in the header Heddle-Seq up to which sequence it is folded.

import { createRoute, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { Point } from "../events/point.ts";
import type { FabricState } from "../events/state.ts";
import { guarded } from "./auth.ts";
import type { Env } from "./context.ts";
import type { HookDeps } from "./deps.ts";
import { seqOf } from "./place.ts";
import { createRouter } from "./router.ts";
import { pointParam } from "./schema-param.ts";
import { problems } from "./schema-problem.ts";
import { leaseSchema, nodeSchema, peerSchema, stateSchema } from "./schema-view.ts";
import { leasesView, nodesView, peersView, stateView } from "./views.ts";

const query = z.strictObject({
  at: pointParam("Point in the log (default: its end)").optional(),
});

const state = route("state", "The whole folded state", stateSchema);
const nodes = route("nodes", "Every host the fabric has seen", z.array(nodeSchema).readonly());
const leases = route(
  "leases",
  "Who holds or may hold which subnet",
  z.array(leaseSchema).readonly(),
);
const peers = route("peers", "Foreign VTEPs", z.array(peerSchema).readonly());

export function stateRoutes(deps: HookDeps) {
  const read = guarded("read", deps.follower);

  async function show<T>(
    c: Context<Env>,
    at: Point | undefined,
    view: (folded: Readonly<FabricState>) => T,
  ): Promise<T> {
    return await deps.history.at(await seqOf(c, deps, "at", at), view);
  }

  return createRouter()
    .openapi(createRoute({ ...state, ...read }), async (c) =>
      c.json(await show(c, c.req.valid("query").at, stateView), 200),
    )
    .openapi(createRoute({ ...nodes, ...read }), async (c) =>
      c.json(await show(c, c.req.valid("query").at, nodesView), 200),
    )
    .openapi(createRoute({ ...leases, ...read }), async (c) =>
      c.json(await show(c, c.req.valid("query").at, leasesView), 200),
    )
    .openapi(createRoute({ ...peers, ...read }), async (c) =>
      c.json(await show(c, c.req.valid("query").at, peersView), 200),
    );
}

function route<const P extends string, S extends z.ZodType>(what: P, summary: string, schema: S) {
  return {
    method: "get",
    path: `/v1/${what}`,
    summary,
    tags: ["state"] as string[],
    request: { query },
    responses: {
      200: { description: summary, content: { "application/json": { schema } } },
      ...problems(400, 404),
    },
  } as const;
}
