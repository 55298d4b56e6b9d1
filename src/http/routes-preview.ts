// POST /v1/plan: what would this change do? Events in, per-host operations out, nothing appended.

import { createRoute, z } from "@hono/zod-openapi";
import { type Draft, eventTypes } from "../events/event.ts";
import { eventData } from "../events/event-schema.ts";
import type { FabricState } from "../events/state.ts";
import { guarded } from "./auth.ts";
import type { HookDeps } from "./deps.ts";
import { preview } from "./preview.ts";
import { Problem } from "./problem.ts";
import { createRouter } from "./router.ts";
import { jsonBody, nodeName } from "./schema-param.ts";
import { previewSchema } from "./schema-plan.ts";
import { problems } from "./schema-problem.ts";

const EVENTS_MAX = 100;
/** A fabric of more is asked host by host, or by parts: the answer would be of megabytes. */
const HOSTS_MAX = 256;

const [first, ...rest] = eventTypes.map((type) =>
  z.strictObject({ type: z.literal(type), data: eventData[type] }),
);
if (first === undefined) throw new Error("there are no event types");
const draftSchema = z.discriminatedUnion("type", [first, ...rest]);

const bodySchema = z.strictObject({
  events: z.array(draftSchema).min(1).max(EVENTS_MAX),
  nodes: z
    .array(nodeName)
    .max(HOSTS_MAX)
    .optional()
    .openapi({ description: "Only these hosts (default: all that are present)" }),
});

function route({ follower }: HookDeps) {
  return createRoute({
    method: "post",
    path: "/v1/plan",
    summary: "What would this change do? Nothing is appended",
    tags: ["hosts"],
    ...guarded("read", follower),
    request: { body: jsonBody(bodySchema) },
    responses: {
      200: {
        description: "What would become of each event, and what each host would do",
        content: { "application/json": { schema: previewSchema } },
      },
      ...problems(400, 404, 413, 415),
    },
  });
}

export function previewRoutes(deps: HookDeps) {
  const { follower, history } = deps;
  return createRouter().openapi(route(deps), async (c) => {
    const { events, nodes } = c.req.valid("json");
    const stale = await follower.fresh();
    if (stale !== null) c.header("heddle-stale", stale);
    const state = await history.stateAt(follower.state().seq);
    for (const node of nodes ?? []) {
      if (!state.nodes.has(node)) throw new Problem(404, `node ${node} is not in the fabric`);
    }
    const count = nodes?.length ?? present(state);
    if (count > HOSTS_MAX) {
      const detail = `nodes: the fabric has ${count} hosts; name at most ${HOSTS_MAX} of them`;
      throw new Problem(400, detail, { parameter: "nodes" });
    }
    // The table of schemas is derived from one object: type and data belong together.
    return c.json(await preview(state, events as readonly Draft[], nodes ?? null), 200);
  });
}

function present({ nodes }: Readonly<FabricState>): number {
  return nodes.values().reduce((count, node) => count + Number(node.present), 0);
}
