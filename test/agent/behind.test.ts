import { expect, test } from "bun:test";
import { startAgent } from "../../src/agent/agent.ts";
import { encode } from "../../src/events/codec.ts";
import type { Draft } from "../../src/events/event.ts";
import { subjectOf } from "../../src/events/subject.ts";
import { defaultMember } from "../support/history.ts";
import { hostLink, KernelModel } from "../support/kernel-model.ts";
import { MissModel } from "../support/kernel-model-miss.ts";
import { MemoryLog } from "../support/log-memory.ts";
import { manualClock } from "../support/manual-clock.ts";

test("how much is to be folded is told before the first record is", async () => {
  const clock = manualClock();
  const client = new MemoryLog(clock).client();
  const drafts: Draft[] = [
    { type: "FabricConfigured", data: { config: { Network: "10.5.0.0/16" } } },
    ...[2, 3, 4].map((n) => ({
      type: "NodeJoined" as const,
      data: defaultMember("t", `h${n}`),
    })),
  ];
  for (const [i, draft] of drafts.entries()) {
    const message = { subject: subjectOf("t", draft), payload: encode(draft, `${i}`), id: `${i}` };
    await client.log.append(message);
  }
  const kernel = new KernelModel();
  kernel.put("link", hostLink("eth0"));
  const ignore = () => undefined;
  const told: { records: number; folded: number }[] = [];
  const agent = await startAgent(
    {
      log: client.log,
      board: client.status,
      ...{ kernel, clock, misses: new MissModel(kernel, clock), newId: () => "1" },
      files: {
        readSnapshot: async () => null,
        writeSnapshot: async () => undefined,
        readSubnetEnv: async () => null,
        writeSubnetEnv: async () => undefined,
      },
      logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
      onBehind: (records) => told.push({ records, folded: agent.state().seq }),
    },
    {
      ...{ fabric: "t", node: "h1", instance: "i1", version: "0", ipMasq: false },
      ...{ publicIp: null, publicIpv6: null, underlay: { by: "name", name: "eth0" } },
      ...{ ttlSeconds: 3600, marginSeconds: 600 },
    },
  );
  await clock.advance(100);
  expect(told[0]).toEqual({ records: 4, folded: 0 });
  expect(told.at(-1)).toEqual({ records: 0, folded: 4 });
  const stopped = agent.stop();
  await clock.advance(100);
  await stopped;
});
