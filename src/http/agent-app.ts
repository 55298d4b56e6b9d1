// The HTTP surface of one agent, served on its unix socket. The socket's file mode is the access
// check, so nothing here asks for a token.

import { Hono } from "hono";
import type { AgentPort } from "../agent/agent-port.ts";
import { METRICS_TYPE } from "./metrics-type.ts";
import { problem } from "./problem.ts";
import { leasesView, nodesView, peersView, planView, stateView } from "./views.ts";

export function createAgentApp(agent: AgentPort): Hono {
  const app = new Hono();
  app.get("/v1/status", (c) => c.json(agent.status()));
  app.get("/v1/state", (c) => c.json(stateView(agent.state())));
  app.get("/v1/nodes", (c) => c.json(nodesView(agent.state())));
  app.get("/v1/leases", (c) => c.json(leasesView(agent.state())));
  app.get("/v1/peers", (c) => c.json(peersView(agent.state())));
  app.get("/v1/plan", (c) => {
    const plan = agent.plan();
    if (plan !== null) return c.json(planView(plan));
    return problem(c, 503, "there is no plan yet", { reasons: agent.status().problems });
  });
  app.get("/v1/found", (c) => c.json(agent.found()));
  app.get("/metrics", async (c) => {
    const { agentMetrics } = await import("./metrics-agent.ts");
    const text = await agentMetrics(agent.status(), agent.ops());
    return c.text(text, 200, { "content-type": METRICS_TYPE });
  });
  app.get("/healthz", (c) => c.json({ ok: true }));
  app.get("/readyz", (c) => {
    const { state, problems } = agent.health();
    if (state === "ready") return c.json({ state });
    return problem(c, 503, `the agent is ${state}`, { state, reasons: problems });
  });
  app.post("/v1/leave", async (c) => {
    await agent.leave("asked to leave");
    return c.json({ left: true });
  });
  app.post("/v1/stop", (c) => {
    // The answer must be on its way before the agent closes the socket that carries it.
    setTimeout(() => void agent.stop(), 0);
    return c.json({ stopping: true }, 202);
  });
  app.post("/v1/resume", (c) => {
    if (agent.acceptLog()) return c.json({ resumed: true });
    return problem(c, 409, "the agent is not frozen");
  });
  app.notFound((c) => problem(c, 404, `no such resource: ${c.req.method} ${c.req.path}`));
  app.onError((error, c) => {
    // The log is away, or will not take it: the caller's to repeat, not a fault of this program.
    const status = error.name === "LogError" ? 503 : 500;
    return problem(c, status, error.message);
  });
  return app;
}
