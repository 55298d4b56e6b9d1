// An agent on a kernel without VXLAN. Such a kernel cannot be had in a test, so this one is the
// model.

import { expect, test } from "bun:test";
import { agentOnModel } from "../support/agent-on-model.ts";
import type { KernelModel } from "../support/kernel-model.ts";
import { manualClock } from "../support/manual-clock.ts";

const EOPNOTSUPP = 95;

/** What is sent to the kernel is noted in `sent`. */
function refuseLinks(kernel: KernelModel, sent: string[]): void {
  const apply = kernel.apply.bind(kernel);
  kernel.apply = (ops) => {
    for (const { noun, verb } of ops) sent.push(`${verb} ${noun}`);
    for (const { noun } of ops) {
      if (noun === "link") kernel.failNext(EOPNOTSUPP, (op) => op.noun === "link");
    }
    return apply(ops);
  };
}

test("without VXLAN in the kernel (model) the agent says so once and tries again", async () => {
  const clock = manualClock();
  const sent: string[] = [];
  const { agent, lines } = await agentOnModel(clock, (kernel) => refuseLinks(kernel, sent));
  await clock.advance(5000);
  const status = agent.status();
  expect(status.lease).not.toBeNull();
  expect(status.state).toBe("degraded");
  const said = status.problems.filter((problem) => problem.includes("injected 95"));
  expect(said).toEqual([expect.stringMatching(/link heddle\.1: injected 95$/)]);
  expect(lines.filter((line) => line.includes("injected 95"))).toHaveLength(1);
  expect(sent.filter((op) => op === "set link").length).toBeGreaterThan(1);
  // What stands on the device is not even tried.
  expect(sent).not.toContain("set route");
  expect(sent).not.toContain("set addr");
  const ended = agent.stop();
  await clock.advance(1000);
  await ended;
});
