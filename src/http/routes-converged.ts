// GET /v1/converged: answers when every live host has applied a sequence, or says who has not.

import { createRoute, z } from "@hono/zod-openapi";
import { behindText, converge } from "../agent/converge.ts";
import { FRESH_MS } from "../agent/live-hosts.ts";
import { formatDuration } from "../events/point.ts";
import { guarded } from "./auth.ts";
import type { HookDeps } from "./deps.ts";
import { Problem } from "./problem.ts";
import { createRouter } from "./router.ts";
import { durationParam, numberParam } from "./schema-param.ts";
import { problems } from "./schema-problem.ts";

const WAIT_MS = 30_000;
const WAIT_MS_MAX = 300_000;

const progress = z.object({ node: z.string(), applied: z.int().nonnegative() });

const convergedSchema = z
  .object({ seq: z.int().positive(), hosts: z.array(progress) })
  .openapi("Converged");

const query = z.strictObject({
  seq: numberParam(1, 1e15, "What they must have applied, as writes answer it"),
  wait: durationParam("For how long at most (default: 30s, at most 5m)", "30s").optional(),
  nodes: numberParam(0, 1e6, "At least so many live hosts (default: 1)").optional(),
});

export function convergedRoutes(deps: HookDeps) {
  const { follower, inquiry, boardWatch: board, clock, newId } = deps;
  const route = createRoute({
    method: "get",
    path: "/v1/converged",
    summary: "Wait until every live host has applied a sequence",
    tags: ["hosts"],
    ...guarded("read", follower),
    request: { query },
    responses: {
      200: {
        description: "Every live host has",
        content: { "application/json": { schema: convergedSchema } },
      },
      ...problems(400, 404, 409),
    },
  });
  return createRouter().openapi(route, async (c) => {
    const { seq, wait = WAIT_MS, nodes = 1 } = c.req.valid("query");
    if (wait > WAIT_MS_MAX) {
      const detail = `query parameter wait: expected at most ${formatDuration(WAIT_MS_MAX)}`;
      throw new Problem(400, detail, { parameter: "wait" });
    }
    c.env?.keepOpen?.();
    if (seq > follower.state().seq) await refuseBeyond(seq);
    const wanted = { seq, nodes, waitMs: wait };
    const { done, hosts, behind } = await converge(
      { board, inquiry, clock, newId, heard },
      wanted,
      c.req.raw.signal,
    );
    if (done) return c.json({ seq, hosts: [...hosts] }, 200);
    const who = behind.map(behindText);
    const live = hosts.length + behind.length;
    if (live < nodes) who.unshift(`${live} live hosts, ${nodes} wanted`);
    const detail = `sequence ${seq} is not applied everywhere after ${formatDuration(wait)}`;
    throw new Problem(409, `${detail}: ${who.slice(0, 10).join(", ")}`, { seq, hosts, behind });
  });

  function heard(): readonly string[] {
    const sinceMs = follower.logNowMs() - FRESH_MS;
    const { nodes, leases } = follower.state();
    return [...leases.keys()].filter((node) => (nodes.get(node)?.heardMs ?? 0) >= sinceMs);
  }

  async function refuseBeyond(seq: number): Promise<void> {
    const stale = await follower.fresh();
    const head = follower.state().seq;
    if (seq <= head) return;
    if (stale !== null) throw new Problem(503, stale);
    throw new Problem(404, `seq ${seq}: the log ends at ${head}`, { parameter: "seq" });
  }
}
