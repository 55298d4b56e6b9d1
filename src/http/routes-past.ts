// GET /v1/hosts/{node}/plan and /v1/diff: what a host should hold at any point, and what changed
// between two.

import { createRoute, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { onDemand } from "../events/fold-miss.ts";
import { isoTime, type Point } from "../events/point.ts";
import type { FabricState } from "../events/state.ts";
import { describePlan } from "../reconcilers/describe.ts";
import { desired } from "../reconcilers/desired.ts";
import { guarded } from "./auth.ts";
import type { Env } from "./context.ts";
import type { HookDeps } from "./deps.ts";
import { fabricDiff } from "./fabric-diff.ts";
import { hostDiff } from "./host-diff.ts";
import { seqOf } from "./place.ts";
import { Problem } from "./problem.ts";
import { createRouter } from "./router.ts";
import { nodeName, pointParam } from "./schema-param.ts";
import { fabricDiffSchema, hostDiffSchema, planSchema } from "./schema-plan.ts";
import { problems } from "./schema-problem.ts";
import { planView } from "./views.ts";

type State = Readonly<FabricState>;

const planRoute = {
  method: "get",
  path: "/v1/hosts/{node}/plan",
  summary: "What the kernel of a host should hold",
  tags: ["hosts"] as string[],
  request: {
    params: z.object({ node: nodeName }),
    query: z.strictObject({ at: pointParam("Point in the log (default: its end)").optional() }),
  },
  responses: {
    200: { description: "The plan", content: { "application/json": { schema: planSchema } } },
    ...problems(400, 404),
  },
} as const;

const diffRoute = {
  method: "get",
  path: "/v1/diff",
  summary: "What changed between two points, in the fabric or for one host",
  tags: ["state"] as string[],
  request: {
    query: z.strictObject({
      from: pointParam("Before"),
      to: pointParam("After (default: the end of the log)").optional(),
      node: nodeName.optional().openapi({ description: "Only this host, as operations" }),
    }),
  },
  responses: {
    200: {
      description: "The differences",
      content: { "application/json": { schema: z.union([fabricDiffSchema, hostDiffSchema]) } },
    },
    ...problems(400, 404),
  },
} as const;

export function pastRoutes(deps: HookDeps) {
  const read = guarded("read", deps.follower);
  const { history } = deps;

  const seqAt = (c: Context<Env>, name: string, point: Point | undefined): Promise<number> =>
    seqOf(c, deps, name, point);

  return createRouter()
    .openapi(createRoute({ ...planRoute, ...read }), async (c) => {
      const { node } = c.req.valid("param");
      const seq = await seqAt(c, "at", c.req.valid("query").at);
      const shared = await history.at(seq, (state) =>
        onDemand(state.config) === null ? planDocument(state, node) : null,
      );
      const document = shared ?? planDocument(await history.stateOf(node, seq), node);
      return c.json(document as z.output<typeof planSchema>, 200);
    })
    .openapi(createRoute({ ...diffRoute, ...read }), async (c) => {
      const { from: fromPoint, to: toPoint, node } = c.req.valid("query");
      const fromSeq = await seqAt(c, "from", fromPoint);
      const toSeq = await seqAt(c, "to", toPoint);
      if (toSeq < fromSeq) {
        const detail = `to: sequence ${toSeq} is before sequence ${fromSeq} of from`;
        throw new Problem(400, detail, { parameter: "to" });
      }
      const stateAt = (seq: number): Promise<State> =>
        node === undefined ? history.stateAt(seq) : history.stateOf(node, seq);
      const [from, to] = [await stateAt(fromSeq), await stateAt(toSeq)];
      const ends = { from: endOf(from), to: endOf(to) };
      if (node === undefined) return c.json({ ...ends, ...fabricDiff(from, to) }, 200);
      refuseUnknown(to, node);
      return c.json({ node, ...ends, ops: hostDiff(from, to, node) }, 200);
    });
}

function planDocument(state: State, node: string) {
  refuseUnknown(state, node);
  const plan = desired(state, node);
  return { ...planView(plan), time: isoTime(state.timeMs), commands: describePlan(plan) };
}

function refuseUnknown(state: State, node: string): void {
  if (state.nodes.has(node)) return;
  throw new Problem(404, `node ${node} is not in the fabric at sequence ${state.seq}`);
}

function endOf(state: State): { seq: number; time: string } {
  return { seq: state.seq, time: isoTime(state.timeMs) };
}
