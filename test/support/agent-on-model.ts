// An agent named h1 on the model of a kernel, with a log in memory that holds a configuration.

import { startAgent } from "../../src/agent/agent.ts";
import type { Agent } from "../../src/agent/agent-deps.ts";
import type { Clock } from "../../src/events/clock.ts";
import { encode } from "../../src/events/codec.ts";
import type { Draft } from "../../src/events/event.ts";
import { subjectOf } from "../../src/events/subject.ts";
import type { MissKernel } from "../../src/reconcilers/miss.ts";
import { hostLink, KernelModel } from "./kernel-model.ts";
import { MissModel } from "./kernel-model-miss.ts";
import { type MemoryClient, MemoryLog } from "./log-memory.ts";

export interface AgentOnModel {
  readonly agent: Agent;
  readonly client: MemoryClient;
  readonly kernel: KernelModel;
  /** Of that kernel, on which packets may be sent. */
  readonly misses: MissModel;
  /** What it logged, above debug. */
  readonly lines: readonly string[];
}

export interface AgentOnModelOptions {
  /** Of the vxlan backend. */
  readonly mode?: "proactive" | "on-miss";
  /** What the agent has of the kernel's questions. */
  readonly missesOf?: (model: MissModel) => MissKernel;
}

/** A foreign peer, which the log has where entries are on demand. */
const LB = {
  ...{ name: "lb", subnet: "10.5.200.0/24", publicIp: "198.18.0.9" },
  vtepMac: "02:00:00:00:00:99",
} as const;

/** `prepare` has the kernel before the agent does. */
export async function agentOnModel(
  clock: Clock,
  prepare: (kernel: KernelModel) => void = () => undefined,
  { mode = "proactive", missesOf = (model) => model }: AgentOnModelOptions = {},
): Promise<AgentOnModel> {
  const client = new MemoryLog(clock).client();
  const config = { Network: "10.5.0.0/16", Backend: { Type: "vxlan", Mode: mode } };
  const drafts: Draft[] = [{ type: "FabricConfigured", data: { config } }];
  if (mode === "on-miss") drafts.push({ type: "PeerAdded", data: LB });
  for (const [i, draft] of drafts.entries()) {
    const id = `given-${i}`;
    await client.log.append({ subject: subjectOf("t", draft), payload: encode(draft, id), id });
  }
  const kernel = new KernelModel();
  kernel.put("link", hostLink("eth0"));
  kernel.put("addr", { dev: "eth0", address: "198.18.0.1/24" });
  prepare(kernel);
  const misses = new MissModel(kernel, clock);
  const lines: string[] = [];
  const note = (text: string, fields: object = {}): number =>
    lines.push(`${text} ${JSON.stringify(fields)}`);
  let ids = 0;
  let subnetEnv: string | null = null;
  const agent = await startAgent(
    {
      log: client.log,
      board: client.status,
      kernel,
      misses: missesOf(misses),
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
  return { agent, client, kernel, misses, lines };
}
