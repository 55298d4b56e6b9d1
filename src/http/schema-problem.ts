// Errors as the OpenAPI document describes them.

import { z } from "@hono/zod-openapi";

const problemSchema = z
  .looseObject({
    type: z.literal("about:blank"),
    title: z.string(),
    status: z.int().min(400).max(599),
    /** One line: what is wrong, named, and what was expected. */
    detail: z.string(),
  })
  .openapi("Problem", { description: "RFC 9457; `detail` is one line for people" });

const WHEN = {
  400: "The request is malformed; the detail names what and says what was expected",
  401: "No token, or one that is unknown, revoked or expired",
  403: "The token's scope does not allow this",
  404: "There is no such thing, or the log holds no such point",
  409: "The present state of the fabric does not allow this",
  413: "The body is larger than 64 KiB",
  415: "The body is not application/json",
  422: "The Idempotency-Key was used with another request",
  429: "Too many requests; Retry-After says when to come again",
  503: "The log does not answer, is damaged, or has not been read to its end",
  504: "The host that was asked does not answer",
} as const;

const content = { "application/problem+json": { schema: problemSchema } } as const;

type Described = { readonly description: string; readonly content: typeof content };

export function problemResponse(status: keyof typeof WHEN): Described {
  return { description: WHEN[status], content };
}

/** Responses of a guarded route, by the statuses that it can refuse with. */
export function problems<const S extends keyof typeof WHEN>(
  ...statuses: readonly S[]
): { readonly [K in S | 401 | 403 | 429 | 503]: Described } {
  const all = [...statuses, 401, 403, 429, 503] as const;
  const entries = all.map((status) => [status, { description: WHEN[status], content }]);
  return Object.fromEntries(entries) as { readonly [K in S | 401 | 403 | 429 | 503]: Described };
}
