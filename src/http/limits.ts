// What one request, one caller and all of them together may take of this server. Each limit has its
// number here; the socket's own are in tcp-server.ts.

import type { Context, MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { createMiddleware } from "hono/factory";
import { HTTPException } from "hono/http-exception";
import { timeout } from "hono/timeout";
import type { Env } from "./context.ts";
import type { HookDeps } from "./deps.ts";
import { problem } from "./problem.ts";
import { RateLimit } from "./rate.ts";

/** The longest event is as long (events/codec.ts). */
const BODY_BYTES_MAX = 64 << 10;
/** Handlers at work; streams that have begun to answer are not counted. */
const PENDING_MAX = 1000;
const ANSWER_MS = 30_000;
const CALLER = { perSecond: 1000, burst: 2000 };
/** By address: whoever has no token, or guesses at one. */
const STRANGER = { perSecond: 20, burst: 100 };

/** Before anything is read or looked up. */
export function sizeLimits(): MiddlewareHandler<Env>[] {
  return [pendingLimit(), jsonOnly, bodyLimit({ maxSize: BODY_BYTES_MAX, onError: tooLarge })];
}

function tooLarge(c: Context): Response {
  return problem(c, 413, `the body is larger than ${BODY_BYTES_MAX} bytes`);
}

function pendingLimit(): MiddlewareHandler<Env> {
  let pending = 0;
  return createMiddleware<Env>(async (c, next) => {
    if (pending >= PENDING_MAX) {
      c.header("retry-after", "1");
      return problem(c, 503, `${PENDING_MAX} requests are being answered: try again`);
    }
    pending++;
    try {
      await next();
    } finally {
      pending--;
    }
  });
}

const jsonOnly = createMiddleware<Env>(async (c, next) => {
  const type = c.req.header("content-type") ?? "application/json";
  if (/^application\/json *(;|$)/i.test(type)) await next();
  else return problem(c, 415, "content-type: expected application/json");
});

/** Once it is known who asks. */
export function rateLimits({ clock }: Pick<HookDeps, "clock">): MiddlewareHandler<Env> {
  const callers = new RateLimit(clock, CALLER);
  const strangers = new RateLimit(clock, STRANGER);
  return createMiddleware<Env>(async (c, next) => {
    const caller = c.get("caller");
    const address = c.env?.address ?? "";
    const waitMs = caller === null ? strangers.take(address) : callers.take(caller.token);
    if (waitMs !== null) {
      c.header("retry-after", String(Math.ceil(waitMs / 1000)));
      const { perSecond } = caller === null ? STRANGER : CALLER;
      const who = caller === null ? "requests without a token" : `requests of ${caller.token}`;
      return problem(c, 429, `more than ${perSecond} ${who} a second`);
    }
    await next();
  });
}

/** Routes that wait on purpose have limits of their own. */
export function timeLimit(exempt: ReadonlySet<string>): MiddlewareHandler<Env> {
  const message = `no answer within ${ANSWER_MS / 1000} s`;
  const limit = timeout(ANSWER_MS, new HTTPException(503, { message }));
  return (c, next) => (exempt.has(c.req.path) ? next() : limit(c, next));
}
