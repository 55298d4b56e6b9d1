// Errors as application/problem+json (RFC 9457).

import type { Context } from "hono";

const TITLES = {
  400: "Bad request",
  401: "Not authenticated",
  403: "Not allowed",
  404: "Not found",
  405: "Method not allowed",
  406: "Not acceptable",
  408: "Request timeout",
  409: "Conflict",
  413: "Body too large",
  415: "Unsupported media type",
  422: "Unprocessable content",
  429: "Too many requests",
  500: "Internal error",
  503: "Not ready",
  504: "No answer",
} as const;

export type ProblemStatus = keyof typeof TITLES;

export function isProblemStatus(status: number): status is ProblemStatus {
  return status in TITLES;
}

type More = Readonly<Record<string, unknown>>;

/** Thrown where a handler cannot go on; the app answers with it. */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly status: ProblemStatus;
  readonly more: More;
  constructor(status: ProblemStatus, detail: string, more: More = {}) {
    super(detail);
    this.status = status;
    this.more = more;
  }
}

export function problem(
  context: Context,
  status: ProblemStatus,
  detail: string,
  more: More = {},
): Response {
  const document = { type: "about:blank", title: TITLES[status], status, detail, ...more };
  return context.body(JSON.stringify(document), status, {
    "content-type": "application/problem+json",
  });
}
