// An agent that is asked to leave while the log does not take it.

import { expect, test } from "bun:test";
import { agentOnModel } from "../support/agent-on-model.ts";
import { manualClock } from "../support/manual-clock.ts";

const LONG_MS = 30_000;

test("a host that could not leave goes on as it was, and may be asked again", async () => {
  const clock = manualClock();
  const { agent, client, kernel } = await agentOnModel(clock);
  await clock.advance(LONG_MS);
  expect(agent.status()).toMatchObject({ state: "ready", drift: { healed: 0 } });

  client.partition(true);
  expect(await agent.leave("asked to").catch((error: Error) => error.message)).toBe("partitioned");
  client.partition(false);
  kernel.remove("link", "heddle.1");
  await clock.advance(LONG_MS);
  expect(agent.status()).toMatchObject({ state: "ready", lease: { epoch: 1 } });
  expect(agent.status().drift.healed).toBeGreaterThan(0);

  const leaving = agent.leave("asked to");
  await clock.advance(LONG_MS);
  await leaving;
  expect(agent.state().nodes.get("h1")?.present).toBeFalse();
  expect(agent.state().leases.size).toBe(0);
  expect(agent.status().state).toBe("stopping");
  const ended = agent.stop();
  await clock.advance(1000);
  await ended;
});

test("a host that is being stopped does not come back because it could not leave", async () => {
  const clock = manualClock();
  const { agent, client } = await agentOnModel(clock);
  await clock.advance(LONG_MS);
  client.partition(true);
  const leaving = agent.leave("asked to").catch((error: Error) => error.message);
  const ended = agent.stop();
  expect(await leaving).toBe("partitioned");
  expect(agent.status().state).toBe("stopping");
  await clock.advance(1000);
  await ended;
});
