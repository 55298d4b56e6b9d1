// /v1/hooks: webhooks, added, removed and looked at. What is sent on request is in
// routes-dead-letter.ts.

import { isIP } from "node:net";
import { createRoute, z } from "@hono/zod-openapi";
import { isoTime } from "../events/point.ts";
import { type Webhook, webhookId } from "../events/webhook.ts";
import { guarded } from "./auth.ts";
import type { HookDeps } from "./deps.ts";
import { seqOf } from "./place.ts";
import { Problem } from "./problem.ts";
import { createRouter } from "./router.ts";
import { jsonBody, peerName } from "./schema-param.ts";
import { problems } from "./schema-problem.ts";
import { webhookSchema } from "./schema-view.ts";
import { addedSchema, hookViewSchema, secretSchema, webhookBody } from "./schema-webhook.ts";
import { fabricNetworks, isAllowed, refusalOf } from "./webhook-address.ts";
import { headers, responses, responsesOfDelete, write } from "./write-request.ts";

const tags = ["webhooks"];
const params = z.object({ name: peerName });

/** The webhook of that name, now. Throws Problem. */
export async function webhookOf({ follower }: HookDeps, name: string): Promise<Webhook> {
  await follower.fresh();
  const webhook = follower.state().webhooks.get(name);
  if (webhook === undefined) throw new Problem(404, `no webhook named ${name}`);
  return webhook;
}

/** Throws Problem. */
export function refuseKeyless({ webhooks }: HookDeps): void {
  if (webhooks.keys.length > 0) return;
  throw new Problem(409, "this server has no key for webhooks: see heddle serve --webhook-key");
}

/** What can be known without asking for the addresses of a name; those are checked each time. */
function refuseUrl({ webhooks, follower }: HookDeps, text: string): void {
  const { protocol, hostname } = new URL(text);
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  const policy = { allow: webhooks.allow, own: fabricNetworks(follower.state()) };
  const isPlain = protocol === "http:";
  const refusal = isIP(host) === 0 ? null : refusalOf(host, policy);
  const why =
    refusal ??
    (isPlain && (isIP(host) === 0 ? policy.allow.length === 0 : !isAllowed(host, policy))
      ? "expected https"
      : null);
  if (why === null) return;
  throw new Problem(400, `body url: ${why}; heddle serve --webhook-allow may allow it`, {
    parameter: "url",
  });
}

export function webhookWrites(deps: HookDeps) {
  const admin = guarded("admin", deps.follower);
  const add = createRoute({
    ...({ method: "post", path: "/v1/hooks", tags, ...admin } as const),
    summary: "Tell a URL what happens from now on; the answer has its secret",
    request: { headers, body: jsonBody(webhookBody) },
    responses: {
      ...responses,
      200: { description: "Done", content: { "application/json": { schema: addedSchema } } },
    },
  });
  const remove = createRoute({
    ...({ method: "delete", path: "/v1/hooks/{name}", tags, ...admin } as const),
    summary: "Remove a webhook with its dead letters",
    request: { headers, params },
    responses: responsesOfDelete,
  });
  return createRouter()
    .openapi(add, async (c) => {
      refuseKeyless(deps);
      const body = c.req.valid("json");
      refuseUrl(deps, body.url);
      const written = await write(c, deps, { type: "AddWebhook", ...body });
      const webhook = await webhookOf(deps, body.name);
      const secret = deps.sender.secret(webhook) ?? "";
      return c.json({ ...written, secret }, 200);
    })
    .openapi(remove, async (c) => {
      const { name } = c.req.valid("param");
      return c.json(await write(c, deps, { type: "RemoveWebhook", name }), 200);
    });
}

export function webhookReads(deps: HookDeps) {
  const { follower, sender, webhooks } = deps;
  const read = guarded("read", follower);
  const list = createRoute({
    ...({ method: "get", path: "/v1/hooks", tags, ...read } as const),
    summary: "Webhooks",
    responses: { 200: shown("Webhooks", z.array(webhookSchema).readonly()), ...problems() },
  });
  const show = createRoute({
    ...({ method: "get", path: "/v1/hooks/{name}", tags, ...read } as const),
    summary: "One webhook: how far it has come, and why it stands still",
    request: { params },
    responses: { 200: shown("The webhook", hookViewSchema), ...problems(400, 404) },
  });
  const secret = createRoute({
    ...({ method: "get", path: "/v1/hooks/{name}/secret", tags } as const),
    ...guarded("admin", follower),
    summary: "What the receiver checks signatures with, by the newest key of this server",
    request: { params },
    responses: { 200: shown("The secret", secretSchema), ...problems(400, 404, 409) },
  });
  return createRouter()
    .openapi(list, async (c) => {
      await seqOf(c, deps, "at", undefined);
      return c.json([...follower.state().webhooks.values()], 200);
    })
    .openapi(show, async (c) => {
      const webhook = await webhookOf(deps, c.req.valid("param").name);
      const id = webhookId(webhook);
      const [cursor, failing, dead] = await Promise.all([
        webhooks.queue.view(id),
        webhooks.queue.failing(id),
        webhooks.queue.dead(id),
      ]);
      return c.json({ ...webhook, cursor, failing: failingView(failing), dead: dead.length }, 200);
    })
    .openapi(secret, async (c) => {
      refuseKeyless(deps);
      const webhook = await webhookOf(deps, c.req.valid("param").name);
      return c.json({ secret: sender.secret(webhook) ?? "" }, 200);
    });
}

function failingView(
  failing: Awaited<ReturnType<HookDeps["webhooks"]["queue"]["failing"]>>,
): z.infer<typeof hookViewSchema>["failing"] {
  if (failing === null) return null;
  const { seq, attempt, status, reason, sinceMs, atMs, nextMs } = failing;
  return {
    ...{ seq, attempt, status, reason, since: isoTime(sinceMs), lastAttempt: isoTime(atMs) },
    nextAttempt: nextMs === null ? null : isoTime(nextMs),
  };
}

function shown<S extends z.ZodType>(description: string, schema: S) {
  return { description, content: { "application/json": { schema } } };
}
