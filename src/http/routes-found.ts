// GET /v1/hosts/{node}/found: what the host itself found in its kernel, asked now. Nothing of it is
// in the log, so there is no past to ask for.

import { createRoute, z } from "@hono/zod-openapi";
import { guarded } from "./auth.ts";
import type { HookDeps } from "./deps.ts";
import { Problem } from "./problem.ts";
import { createRouter } from "./router.ts";
import { foundSchema } from "./schema-found.ts";
import { nodeName } from "./schema-param.ts";
import { problems } from "./schema-problem.ts";

/** A host that lives answers within milliseconds, unless it is in the middle of much work. */
const WAIT_MS = 3000;

export function foundRoutes({ follower, foundInquiry, newId }: HookDeps) {
  const route = createRoute({
    method: "get",
    path: "/v1/hosts/{node}/found",
    summary: "What a host found in its kernel, beside what the log wants there",
    tags: ["hosts"],
    ...guarded("read", follower),
    request: { params: z.object({ node: nodeName }) },
    responses: {
      200: {
        description: "The host's own answer",
        content: { "application/json": { schema: foundSchema } },
      },
      ...problems(400, 404, 504),
    },
  });
  return createRouter().openapi(route, async (c) => {
    const { node } = c.req.valid("param");
    await follower.fresh();
    const known = follower.state().nodes.get(node);
    if (known === undefined) throw new Problem(404, `node ${node} is not in the fabric`);
    const answer = await foundInquiry.ask(node, newId(), WAIT_MS);
    const last = `the log last heard of it at ${new Date(known.heardMs).toISOString()}`;
    if (answer === "nobody") throw new Problem(504, `no agent of ${node} is connected; ${last}`);
    if (answer === "silent") {
      throw new Problem(504, `${node} has not answered within ${WAIT_MS / 1000} s; ${last}`);
    }
    const read = foundSchema.safeParse(jsonOf(answer));
    if (read.success) return c.json(read.data, 200);
    throw new Problem(504, `the answer of ${node} is not understood: is it of another version?`);
  });
}

/** Null for what is no JSON: the schema refuses it. */
function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
}
