// An agent on a kernel without VXLAN. Such a kernel cannot be had in a test, so this one is the
// model.

import { expect, test } from "bun:test";
import { startAgent } from "../../src/agent/agent.ts";
import type { Agent } from "../../src/agent/agent-deps.ts";
import type { Clock } from "../../src/events/clock.ts";
import { encode } from "../../src/events/codec.ts";
import { subjectOf } from "../../src/events/subject.ts";
import { hostLink, KernelModel } from "../support/kernel-model.ts";
import { MissModel } from "../support/kernel-model-miss.ts";
import { MemoryLog } from "../support/log-memory.ts";
import { manualClock } from "../support/manual-clock.ts";

const EOPNOTSUPP = 95;

async function given(clock: Clock): Promise<{ agent: Agent; lines: string[]; sent: string[] }> {
  const client = new MemoryLog(clock).client();
  const config = { Network: "10.5.0.0/16" };
  const draft = { type: "FabricConfigured", data: { config } } as const;
  const message = { subject: subjectOf("t", draft), payload: encode(draft, "1"), id: "1" };
  await client.log.append(message);
  const kernel = new KernelModel();
  kernel.put("link", hostLink("eth0"));
  kernel.put("addr", { dev: "eth0", address: "198.18.0.1/24" });
  const apply = kernel.apply.bind(kernel);
  const sent: string[] = [];
  kernel.apply = (ops) => {
    for (const { noun, verb } of ops) sent.push(`${verb} ${noun}`);
    for (const { noun } of ops) {
      if (noun === "link") kernel.failNext(EOPNOTSUPP, (op) => op.noun === "link");
    }
    return apply(ops);
  };
  const lines: string[] = [];
  const note = (text: string, fields: object = {}): number =>
    lines.push(`${text} ${JSON.stringify(fields)}`);
  let ids = 0;
  const agent = await startAgent(
    {
      log: client.log,
      board: client.status,
      kernel,
      misses: new MissModel(kernel, clock),
      clock,
      files: {
        readSnapshot: async () => null,
        writeSnapshot: async () => undefined,
        readSubnetEnv: async () => null,
        writeSubnetEnv: async () => undefined,
      },
      logger: { debug: () => undefined, info: note, warn: note, error: note },
      newId: () => `id-${++ids}`,
    },
    {
      fabric: "t",
      node: "h1",
      instance: "i1",
      version: "0",
      ipMasq: false,
      publicIp: null,
      publicIpv6: null,
      underlay: { by: "name", name: "eth0" },
      ttlSeconds: 3600,
      marginSeconds: 600,
    },
  );
  return { agent, lines, sent };
}

test("without VXLAN in the kernel (model) the agent says so once and tries again", async () => {
  const clock = manualClock();
  const { agent, lines, sent } = await given(clock);
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
