// The reads of one agent for a TCP port: for Prometheus, and for people who look at one host. What
// changes anything stays on the unix socket, whose file mode is the access check there. Tokens are
// the fabric's, as the agent's own fold knows them.

import { Hono, type MiddlewareHandler } from "hono";
import { createMiddleware } from "hono/factory";
import type { AgentPort } from "../agent/agent-port.ts";
import type { Clock } from "../events/clock.ts";
import { createAgentApp } from "./agent-app.ts";
import { bearerOf, mayDo, verify } from "./bearer.ts";
import type { Env } from "./context.ts";
import { rateLimits } from "./limits.ts";
import { problem } from "./problem.ts";

interface World {
  readonly clock: Clock;
  /** Wall clock, for the end of tokens. */
  readonly wallMs: () => number;
}

/** For whoever decides whether to restart the process; they say nothing that is a secret. */
const OPEN: ReadonlySet<string> = new Set(["/healthz", "/readyz"]);

export function createAgentTcpApp(agent: AgentPort, { clock, wallMs }: World): Hono<Env> {
  const app = new Hono<Env>();
  app.use(authenticate(agent, wallMs), rateLimits({ clock }), readsOnly);
  app.route("/", createAgentApp(agent));
  return app;
}

function authenticate(agent: AgentPort, wallMs: () => number): MiddlewareHandler<Env> {
  return createMiddleware<Env>(async (c, next) => {
    const header = c.req.header("authorization");
    const text = header === undefined ? null : bearerOf(header);
    const verified = text === null ? null : verify(agent.state(), text, wallMs());
    c.set("caller", verified?.ok ? verified.caller : null);
    c.set("refusal", verified === null || verified.ok ? null : verified.reason);
    await next();
  });
}

const readsOnly: MiddlewareHandler<Env> = createMiddleware<Env>(async (c, next) => {
  const { method, path } = c.req;
  if (method !== "GET" && method !== "HEAD") {
    c.header("allow", "GET");
    return problem(c, 405, `${method} ${path}: changes are made on the agent's unix socket`);
  }
  const caller = c.get("caller");
  if (OPEN.has(path) || (caller !== null && mayDo(caller, "read"))) return await next();
  const refusal = c.get("refusal");
  c.header("www-authenticate", `Bearer realm="heddle"${refusal ? ', error="invalid_token"' : ""}`);
  return problem(c, 401, refusal ?? "this needs a token: Authorization: Bearer TOKEN");
});
