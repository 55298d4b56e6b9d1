// Who may ask. `authenticate` finds out who it is and refuses nobody; each route says what scope it
// needs with `guarded`, which is also what the OpenAPI document says of it.

import type { Context, MiddlewareHandler } from "hono";
import { createMiddleware } from "hono/factory";
import type { TokenScope } from "../events/state.ts";
import { bearerOf, mayDo, verify } from "./bearer.ts";
import type { Env } from "./context.ts";
import type { HookDeps } from "./deps.ts";
import { problem } from "./problem.ts";

export function authenticate(deps: Pick<HookDeps, "follower" | "wallMs">): MiddlewareHandler<Env> {
  const { follower, wallMs } = deps;
  return createMiddleware<Env>(async (c, next) => {
    c.set("caller", null);
    c.set("refusal", null);
    const header = c.req.header("authorization");
    if (header !== undefined) await recognise(c, header);
    await next();
  });

  async function recognise(c: Context<Env>, header: string): Promise<void> {
    const text = bearerOf(header);
    if (text === null) return c.set("refusal", "Authorization: expected Bearer TOKEN");
    const look = () => verify(follower.state(), text, Math.max(follower.logNowMs(), wallMs()));
    let verified = look();
    if (!verified.ok && follower.view().caughtUp) {
      // It may have been created a moment ago, through another server.
      await follower.fresh();
      verified = look();
    }
    if (verified.ok) c.set("caller", verified.caller);
    else c.set("refusal", verified.reason);
  }
}

/** For the definition of a route: who may call it, in the document and in fact. */
export function guarded(
  scope: TokenScope,
  follower: HookDeps["follower"],
  answers: "while the log is good" | "also while damaged" = "while the log is good",
) {
  const check: MiddlewareHandler<Env> = createMiddleware<Env>(async (c, next) => {
    const caller = c.get("caller");
    const { damage } = follower.view();
    if (caller === null) return unauthenticated(c, follower);
    if (!mayDo(caller, scope)) {
      const held = caller.scopes.join(", ");
      const detail = `the token ${caller.token} has scope ${held}; this needs ${scope}`;
      c.header("www-authenticate", `Bearer error="insufficient_scope", scope="${scope}"`);
      return problem(c, 403, detail, { scope });
    }
    if (damage !== null && answers !== "also while damaged") {
      return problem(c, 503, `the log is damaged: ${damage}`);
    }
    await next();
  });
  return { middleware: check, security: [{ bearer: [scope] }] };
}

function unauthenticated(c: Context<Env>, follower: HookDeps["follower"]): Response {
  if (!follower.view().caughtUp) {
    return problem(c, 503, "the log has not been read to its end yet: no token is known");
  }
  const refusal = c.get("refusal");
  const error = refusal === null ? "" : ', error="invalid_token"';
  c.header("www-authenticate", `Bearer realm="heddle"${error}`);
  return problem(c, 401, refusal ?? "this needs a token: Authorization: Bearer TOKEN");
}
