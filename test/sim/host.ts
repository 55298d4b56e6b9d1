// A host: its kernel, what others own in it, the agent's files, and the processes that come and go.
// A supervisor starts an agent that ended by itself again after a second.

import type { KernelState } from "../../src/reconcilers/kernel-state.ts";
import type { OpOutcome } from "../../src/reconcilers/op.ts";
import { KernelModel } from "../support/kernel-model.ts";
import { MissModel } from "../support/kernel-model-miss.ts";
import type { MemoryClient } from "../support/log-memory.ts";
import { Checker, words } from "./checkers.ts";
import { Foreign, putUnderlay, type Underlay } from "./foreign.ts";
import type { KernelFaults } from "./kernel-port.ts";
import type { LineFaults } from "./log-port.ts";
import { SimPath } from "./packet-path.ts";
import type { Prng } from "./prng.ts";
import { type Files, Process, type ProcessDeps } from "./process.ts";
import type { SimClock } from "./sim-clock.ts";

export type HostBreak = Pick<ProcessDeps, "breakLog" | "breakKernel" | "breakMisses" | "breakPath">;

export interface HostDeps {
  readonly node: string;
  readonly clock: SimClock;
  readonly random: Prng;
  readonly client: MemoryClient;
  readonly underlay: Underlay;
  readonly ttlSeconds: number;
  readonly marginSeconds: number;
  readonly say: (who: string, what: string) => void;
  readonly fail: (rule: string, what: string) => void;
  readonly broken: HostBreak;
}

const SUPERVISOR_MS = 1000;

export class Host {
  readonly node: string;
  readonly client: MemoryClient;
  readonly lineFaults: LineFaults = { slowCatchUp: 0, lateAppend: 0 };
  readonly kernelFaults: KernelFaults = { delayMsMax: 3, dumpFails: 0 };
  files: Files = { snapshot: null, subnetEnv: null, broken: false };
  kernel: KernelModel;
  /** Whom the kernel looks for. */
  misses: MissModel;
  path: SimPath;
  foreign: Foreign;
  underlay: Underlay;
  process: Process | null = null;
  /** An operator wants the agent to run. */
  wanted = true;
  /** Ops that the agent sent to the kernel, ever. */
  ops = 0;
  /** Why the agent last ended by itself. */
  lastEnd: string | null = null;
  readonly #deps: HostDeps;
  readonly #checker: Checker;
  #boot = 1;
  #ids = 0;

  constructor(deps: HostDeps) {
    this.#deps = deps;
    this.node = deps.node;
    this.client = deps.client;
    this.underlay = deps.underlay;
    this.kernel = new KernelModel(() => deps.random.next());
    this.misses = this.#newMisses();
    this.path = this.#makePath();
    this.foreign = new Foreign(this.kernel);
    putUnderlay(this.foreign, this.underlay);
    const { node, fail } = deps;
    const process = () => this.process;
    const misses = () => this.misses;
    this.#checker = new Checker({ node, foreign: () => this.foreign, process, misses, fail });
  }

  say(what: string): void {
    this.#deps.say(this.node, what);
  }

  start(): void {
    if (this.process !== null || !this.wanted) return;
    const { node, clock, random, client, ttlSeconds, marginSeconds, broken } = this.#deps;
    this.say("agent starts");
    const process: Process = new Process({
      node,
      instance: `${node}-boot${this.#boot}`,
      misses: this.misses,
      path: this.path,
      client,
      clock,
      random,
      files: this.files,
      ttlSeconds,
      marginSeconds,
      lineFaults: this.lineFaults,
      kernelFaults: this.kernelFaults,
      newId: () => `${node}-${++this.#ids}`,
      before: (ops, found) => this.#checker.before(ops, found),
      after: (ops, outcomes) => this.#noteOps(ops, outcomes),
      onEnd: (end) => {
        this.process = null;
        this.lastEnd = end === null ? null : end.reason;
        this.say(end === null ? "agent killed" : `agent ended ${end.code} ${end.reason ?? ""}`);
        clock.after(SUPERVISOR_MS, () => this.start());
      },
      say: (what) => this.say(what),
      ...broken,
    });
    this.process = process;
    process.start();
  }

  /** Kernel and files in memory are gone; the state directory stays. */
  reboot(): void {
    this.process?.kill();
    this.#boot++;
    this.kernel = new KernelModel(() => this.#deps.random.next());
    this.misses = this.#newMisses();
    this.path = this.#makePath();
    this.foreign = new Foreign(this.kernel);
    putUnderlay(this.foreign, this.underlay);
    this.files = { ...this.files, subnetEnv: null };
    this.say("rebooted");
  }

  #newMisses(): MissModel {
    const model = new MissModel(this.kernel, this.#deps.clock, () => this.#deps.random.next());
    // Every other host is one without the native library.
    model.thread = Number(/\d+$/.exec(this.#deps.node)?.[0]) % 2 === 1;
    return model;
  }

  #noteOps(ops: Parameters<ProcessDeps["after"]>[0], outcomes: readonly OpOutcome[]): void {
    this.ops += ops.length;
    this.misses.settleAll();
    const failed = outcomes.filter((outcome) => !outcome.ok).length;
    const text = ops.length > 4 ? `${words(ops.slice(0, 4))} and ${ops.length - 4}` : words(ops);
    this.say(`applies ${text}${failed > 0 ? `; ${failed} fail` : ""}`);
    this.#checker.after();
  }

  /** Everything that is there, in the kernel and in the packet path. */
  get state(): KernelState {
    return this.path.truth();
  }

  #makePath(): SimPath {
    return new SimPath(this.kernel, this.#deps.random.fork("packet path"));
  }
}
