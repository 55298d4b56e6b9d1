// One run of the production agent on simulated ports, from its start to its end or its sudden
// death.

import { startAgent } from "../../src/agent/agent.ts";
import type { Agent, AgentEnd } from "../../src/agent/agent-deps.ts";
import type { AgentFiles } from "../../src/agent/files.ts";
import type { Fields, Logger } from "../../src/agent/logger.ts";
import type { EventLog } from "../../src/events/log.ts";
import { decodeSnapshot } from "../../src/events/snapshot.ts";
import type { Kernel } from "../../src/reconcilers/kernel.ts";
import { type PacketPath, TunnelKernel } from "../../src/reconcilers/kernel-tunnel.ts";
import type { MissKernel } from "../../src/reconcilers/miss.ts";
import type { MissModel } from "../support/kernel-model-miss.ts";
import type { MemoryClient } from "../support/log-memory.ts";
import { Gate } from "./gate.ts";
import { type KernelFaults, KernelPort, type KernelPortDeps } from "./kernel-port.ts";
import { Lineage } from "./lineage.ts";
import { boardPort, type LineFaults, logPort } from "./log-port.ts";
import { MissPort } from "./miss-port.ts";
import type { SimPath } from "./packet-path.ts";
import type { Prng } from "./prng.ts";
import type { ProcessClock, SimClock } from "./sim-clock.ts";

export const FABRIC = "sim";
/** Seconds instead of minutes, so that entries age while a world lasts. */
export const IDLE_MS = 4000;

export interface Files {
  snapshot: string | null;
  subnetEnv: string | null;
  /** The disk is full or gone: every access fails. */
  broken: boolean;
}

export interface ProcessDeps {
  readonly node: string;
  readonly instance: string;
  readonly misses: MissModel;
  readonly path: SimPath;
  readonly client: MemoryClient;
  readonly clock: SimClock;
  readonly random: Prng;
  readonly files: Files;
  readonly ttlSeconds: number;
  readonly marginSeconds: number;
  readonly lineFaults: LineFaults;
  readonly kernelFaults: KernelFaults;
  readonly newId: () => string;
  readonly before: KernelPortDeps["before"];
  readonly after: KernelPortDeps["after"];
  readonly onEnd: (end: AgentEnd | null) => void;
  readonly say: (what: string) => void;
  /** Breaks the agent on purpose, between it and the ports that the checkers watch. */
  readonly breakLog?: (log: EventLog) => EventLog;
  readonly breakKernel?: (kernel: Kernel) => Kernel;
  readonly breakMisses?: (misses: MissKernel) => MissKernel;
  readonly breakPath?: (path: PacketPath) => PacketPath;
}

export class Process {
  readonly lineage: Lineage;
  readonly kernel: KernelPort;
  agent: Agent | null = null;
  readonly #gate = new Gate();
  readonly #clock: ProcessClock;
  readonly #deps: ProcessDeps;
  readonly #tunnel: TunnelKernel;

  constructor(deps: ProcessDeps) {
    const { files, path, clock, random, breakPath } = deps;
    this.#deps = deps;
    this.#clock = clock.process();
    this.#gate.onDeath(() => this.#clock.stop());
    const decoded = files.snapshot === null ? null : decodeSnapshot(FABRIC, files.snapshot);
    const position = decoded?.ok ? decoded.snapshot.position : null;
    this.lineage = new Lineage(position, () => this.agent?.state().seq ?? null);
    this.#gate.onDeath(() => path.end());
    const load = async (): Promise<PacketPath> => breakPath?.(path) ?? path;
    this.#tunnel = new TunnelKernel(path.bare(), { netns: null, load });
    this.kernel = new KernelPort({
      kernel: this.#tunnel,
      clock,
      random,
      gate: this.#gate,
      faults: deps.kernelFaults,
      before: deps.before,
      after: deps.after,
      onCrash: () => this.kill(),
    });
  }

  get alive(): boolean {
    return this.#gate.alive;
  }

  start(): void {
    const { client, clock, random, lineFaults, breakLog, breakKernel, breakMisses } = this.#deps;
    const gate = this.#gate;
    const faults = lineFaults;
    const misses = new MissPort({ model: this.#deps.misses, gate, clock, random });
    const log = logPort({ client, gate, clock, random, lineage: this.lineage, faults });
    const deps = {
      log: breakLog?.(log) ?? log,
      board: boardPort({ client, gate }),
      kernel: breakKernel?.(this.kernel) ?? this.kernel,
      misses: breakMisses?.(misses) ?? misses,
      tunnel: this.#tunnel,
      clock: this.#clock,
      files: this.#filesPort(),
      logger: this.#logger(),
      newId: this.#deps.newId,
    };
    startAgent(deps, this.#options()).then(async (agent) => {
      this.agent = agent;
      const end = await agent.done;
      if (!gate.alive) return;
      gate.close();
      this.#deps.onEnd(end);
    });
  }

  /** As kill -9: nothing is said, nothing is finished. */
  kill(): void {
    if (!this.alive) return;
    this.#gate.close();
    this.#deps.onEnd(null);
  }

  #options(): Parameters<typeof startAgent>[1] {
    const { node, instance, ttlSeconds, marginSeconds } = this.#deps;
    return {
      fabric: FABRIC,
      node,
      instance,
      version: "sim",
      ipMasq: false,
      publicIp: null,
      publicIpv6: null,
      underlay: { by: "default-route" },
      ttlSeconds,
      marginSeconds,
      idleMs: IDLE_MS,
    };
  }

  #filesPort(): AgentFiles {
    const { files } = this.#deps;
    const access = <T>(work: () => T): Promise<T> =>
      this.#gate.pass(async () => {
        if (files.broken) throw new Error("EIO: the disk does not answer");
        return work();
      });
    return {
      // The process needs a directory to start at all; what is in it may be anything.
      readSnapshot: () => this.#gate.pass(async () => files.snapshot),
      writeSnapshot: (text) =>
        access(() => {
          files.snapshot = text;
        }),
      readSubnetEnv: () => access(() => files.subnetEnv),
      writeSubnetEnv: (text) =>
        access(() => {
          files.subnetEnv = text;
        }),
    };
  }

  #logger(): Logger {
    const say = (message: string, fields?: Fields): void => {
      if (!this.alive) return;
      const parts = Object.entries(fields ?? {}).map(([name, value]) => `${name}=${value}`);
      this.#deps.say(`"${message}" ${parts.join(" ")}`.trimEnd());
    };
    return { debug: () => undefined, info: say, warn: say, error: say };
  }
}
