// GET /v1/events: a page of the log as JSON, or any range of it as NDJSON. What is asked for by
// Accept: text/event-stream is another route's matter.

import { createRoute, z } from "@hono/zod-openapi";
import { guarded } from "./auth.ts";
import type { HookDeps } from "./deps.ts";
import { madeGarbage } from "./garbage.ts";
import { type PageQuery, restOf } from "./pages.ts";
import { Problem } from "./problem.ts";
import { createRouter } from "./router.ts";
import { eventSchema, eventTypeSchema, pageSchema } from "./schema-event.ts";
import { numberParam, pointParam } from "./schema-param.ts";
import { problems } from "./schema-problem.ts";

const LIMIT = 100;
const LIMIT_MAX = 1000;
const NDJSON = "application/x-ndjson";

const query = z.strictObject({
  from: pointParam("First event: a sequence, a time, or how long ago (default: 1)").optional(),
  to: pointParam("Last event (default: the newest)").optional(),
  type: z
    .preprocess((value) => (typeof value === "string" ? [value] : value), z.array(eventTypeSchema))
    .optional()
    .openapi({
      type: "array",
      items: { $ref: "#/components/schemas/EventType" },
      description: "Only these types; repeatable",
    }),
  order: z
    .enum(["asc", "desc"])
    .optional()
    .openapi({ description: "The log's order (default), or desc: newest first" }),
  limit: numberParam(1, LIMIT_MAX, `Events per page (default: ${LIMIT}); NDJSON: all`).optional(),
});

function route(deps: HookDeps) {
  return createRoute({
    method: "get",
    path: "/v1/events",
    summary: "The log, with what became of each event",
    tags: ["events"],
    ...guarded("read", deps.follower),
    request: { query },
    responses: {
      200: {
        description: "Events in the order asked for",
        content: {
          "application/json": { schema: pageSchema },
          [NDJSON]: { schema: eventSchema.openapi({ description: "One on each line" }) },
        },
      },
      ...problems(400, 404),
    },
  });
}

export function eventRoutes(deps: HookDeps) {
  const { follower, history, pages } = deps;

  return createRouter().openapi(route(deps), async (c) => {
    const { from, to, type = [], limit, order = "asc" } = c.req.valid("query");
    const first = from === undefined ? 1 : await history.resolveFrom({ name: "from", point: from });
    let last: number;
    if (to === undefined) {
      const stale = await follower.fresh();
      if (stale !== null) c.header("heddle-stale", stale);
      last = follower.state().seq;
    } else last = await history.resolve({ name: "to", point: to });
    if (to !== undefined && last < first - 1) {
      const detail = `to ${to.text}: is before from ${from?.text}`;
      throw new Problem(400, detail, { parameter: "to" });
    }
    const head = follower.state().seq;
    c.header("heddle-seq", String(head));
    c.header("vary", "accept");
    const range = { from: first, last, types: type, order };
    if (wantsLines(c.req.header("accept"))) {
      c.env?.keepOpen?.();
      const body = linesOf(range, limit ?? Number.POSITIVE_INFINITY);
      return c.body(body, 200, { "content-type": NDJSON }) as never;
    }
    const page = await pages.page({ ...range, limit: limit ?? LIMIT });
    const text = `{"events":[${page.lines.join(",")}],"next":${page.next},"head":${head}}`;
    madeGarbage(text.length);
    // Not c.json: the lines are JSON already.
    return c.body(text, 200, { "content-type": "application/json" }) as never;
  });

  /** Page by page as the client takes them: a slow one holds one page in memory. */
  function linesOf(range: Omit<PageQuery, "limit">, limit: number): ReadableStream<Uint8Array> {
    const encoder = new TextEncoder();
    let rest: typeof range | null = range;
    let left = limit;
    return new ReadableStream({
      async pull(controller) {
        if (rest === null || left <= 0) return controller.close();
        const page = await pages.page({ ...rest, limit: Math.min(left, LIMIT_MAX) });
        rest = page.next === null ? null : restOf(rest, page.next);
        left -= page.lines.length;
        if (page.lines.length > 0) controller.enqueue(encoder.encode(`${page.lines.join("\n")}\n`));
        if (rest === null || left <= 0) controller.close();
      },
    });
  }
}

function wantsLines(accept: string | undefined): boolean {
  return accept?.split(",").some((part) => part.trim().startsWith(NDJSON)) ?? false;
}
