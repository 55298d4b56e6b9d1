// Errors as application/problem+json (RFC 9457).

import type { Context } from "hono";

export type ProblemStatus = 400 | 404 | 405 | 409 | 500 | 503;

const TITLES: Readonly<Record<ProblemStatus, string>> = {
  400: "Bad request",
  404: "Not found",
  405: "Method not allowed",
  409: "Conflict",
  500: "Internal error",
  503: "Not ready",
};

export function problem(
  context: Context,
  status: ProblemStatus,
  detail: string,
  more: Readonly<Record<string, unknown>> = {},
): Response {
  const document = { type: "about:blank", title: TITLES[status], status, detail, ...more };
  return context.body(JSON.stringify(document), status, {
    "content-type": "application/problem+json",
  });
}
