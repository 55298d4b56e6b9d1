// /v1/hooks/{name}/dead and /test: what was given up, and deliveries on request. Those are one
// attempt each, made while the caller waits, and out of order.

import { createRoute, z } from "@hono/zod-openapi";
import { isoTime } from "../events/point.ts";
import { type Webhook, webhookId } from "../events/webhook.ts";
import { type CloudEvent, cloudEvent, testEvent } from "../events/webhook-cloud-event.ts";
import { guarded } from "./auth.ts";
import type { HookDeps } from "./deps.ts";
import { happened } from "./happened.ts";
import { Problem } from "./problem.ts";
import { createRouter } from "./router.ts";
import { refuseKeyless, webhookOf } from "./routes-webhook.ts";
import { numberParam, peerName } from "./schema-param.ts";
import { problems } from "./schema-problem.ts";
import { attemptSchema, deadSchema } from "./schema-webhook.ts";

const PAGE = 100;
const tags = ["webhooks"];
const name = peerName;
const seq = numberParam(1, Number.MAX_SAFE_INTEGER, "The event that was given up");

const attempted = {
  200: {
    description: "What became of the attempt",
    content: { "application/json": { schema: attemptSchema } },
  },
  ...problems(400, 404, 409),
};

export function deadLetterReads(deps: HookDeps) {
  const { queue } = deps.webhooks;
  const list = createRoute({
    ...({ method: "get", path: "/v1/hooks/{name}/dead", tags } as const),
    ...guarded("read", deps.follower),
    summary: "Events that were given up, oldest first; kept for 30 days",
    request: {
      params: z.object({ name }),
      query: z.strictObject({
        from: numberParam(1, Number.MAX_SAFE_INTEGER, "First sequence (default: 1)").optional(),
      }),
    },
    responses: {
      200: { description: "Dead letters", content: { "application/json": { schema: deadSchema } } },
      ...problems(400, 404),
    },
  });
  return createRouter().openapi(list, async (c) => {
    const id = webhookId(await webhookOf(deps, c.req.valid("param").name));
    const { from = 1 } = c.req.valid("query");
    const seqs = (await queue.dead(id)).filter((each) => each >= from);
    const letters = await Promise.all(seqs.slice(0, PAGE).map((each) => queue.letter(id, each)));
    const view = letters
      // Delivered on request since they were listed.
      .filter((letter) => letter !== null)
      .map(({ atMs, ...letter }) => ({ ...letter, lastAttempt: isoTime(atMs) }));
    return c.json({ letters: view, next: seqs[PAGE] ?? null }, 200);
  });
}

export function deliveriesOnRequest(deps: HookDeps) {
  const { queue } = deps.webhooks;
  const admin = guarded("admin", deps.follower);
  const replay = createRoute({
    ...({ method: "post", path: "/v1/hooks/{name}/dead/{seq}/replay", tags, ...admin } as const),
    summary: "Try to deliver it once more; it is a dead letter no longer when that succeeds",
    request: { params: z.object({ name, seq }) },
    responses: attempted,
  });
  const test = createRoute({
    ...({ method: "post", path: "/v1/hooks/{name}/test", tags, ...admin } as const),
    summary: "Send an event of type heddle.test",
    request: { params: z.object({ name }) },
    responses: attempted,
  });
  return createRouter()
    .openapi(replay, async (c) => {
      refuseKeyless(deps);
      const params = c.req.valid("param");
      const webhook = await webhookOf(deps, params.name);
      const letter = await queue.letter(webhookId(webhook), params.seq);
      const found = letter === null ? null : await happened(deps, params.seq);
      if (found === null) {
        throw new Problem(404, `${params.seq} is no dead letter of ${params.name}`);
      }
      const event = cloudEvent(deps.fabric, found.record, found.event);
      const attempt = await send(deps, webhook, event);
      if (attempt.delivered) await queue.unbury(webhookId(webhook), params.seq);
      return c.json(attempt, 200);
    })
    .openapi(test, async (c) => {
      refuseKeyless(deps);
      const webhook = await webhookOf(deps, c.req.valid("param").name);
      const event = testEvent(deps.fabric, webhook.name, deps.newId(), deps.wallMs());
      return c.json(await send(deps, webhook, event), 200);
    });
}

/** A delivery ends by itself. */
const NEVER = new AbortController().signal;

async function send(
  { sender }: HookDeps,
  webhook: Webhook,
  event: CloudEvent,
): Promise<z.infer<typeof attemptSchema>> {
  const attempt = await sender.send(webhook, event, NEVER);
  if (attempt.ok) return { delivered: true, status: attempt.status, reason: null };
  return { delivered: false, status: attempt.status, reason: attempt.reason };
}
