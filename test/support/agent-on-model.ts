// An agent named h1 on the model of a kernel, with a log in memory that holds a configuration.

import { startAgent } from "../../src/agent/agent.ts";
import type { Agent } from "../../src/agent/agent-deps.ts";
import type { Clock } from "../../src/events/clock.ts";
import { encode } from "../../src/events/codec.ts";
import { subjectOf } from "../../src/events/subject.ts";
import { hostLink, KernelModel } from "./kernel-model.ts";
import { MissModel } from "./kernel-model-miss.ts";
import { type MemoryClient, MemoryLog } from "./log-memory.ts";

export interface AgentOnModel {
  readonly agent: Agent;
  readonly client: MemoryClient;
  readonly kernel: KernelModel;
  /** What it logged, above debug. */
  readonly lines: readonly string[];
  /** Each sequence that it took for applied. */
  readonly applied: readonly number[];
}

/** `prepare` has the kernel before the agent does. */
export async function agentOnModel(
  clock: Clock,
  prepare: (kernel: KernelModel) => void = () => undefined,
): Promise<AgentOnModel> {
  const client = new MemoryLog(clock).client();
  const config = { Network: "10.5.0.0/16" };
  const draft = { type: "FabricConfigured", data: { config } } as const;
  const message = { subject: subjectOf("t", draft), payload: encode(draft, "1"), id: "1" };
  await client.log.append(message);
  const kernel = new KernelModel();
  kernel.put("link", hostLink("eth0"));
  kernel.put("addr", { dev: "eth0", address: "198.18.0.1/24" });
  prepare(kernel);
  const lines: string[] = [];
  const applied: number[] = [];
  const note = (text: string, fields: object = {}): number =>
    lines.push(`${text} ${JSON.stringify(fields)}`);
  let ids = 0;
  let subnetEnv: string | null = null;
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
        readSubnetEnv: async () => subnetEnv,
        writeSubnetEnv: async (text) => {
          subnetEnv = text;
        },
      },
      logger: { debug: () => undefined, info: note, warn: note, error: note },
      newId: () => `id-${++ids}`,
      onApplied: (seq) => applied.push(seq),
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
  return { agent, client, kernel, lines, applied };
}
