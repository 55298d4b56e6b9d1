// One seed from start to end: a world, its faults, its rest. The result is a value; a failure
// carries the last lines of what happened.

import { strikeAll, swarm } from "./faults.ts";
import { configure } from "./faults-operator.ts";
import { converge } from "./liveness.ts";
import { Violation, World, type WorldBreak } from "./world.ts";

export interface RunOptions {
  readonly seed: number;
  /** How many faults strike; by default the seed says. */
  readonly faults?: number;
  readonly onLine?: (line: string) => void;
  readonly broken?: WorldBreak;
}

export interface RunResult {
  readonly seed: number;
  /** The rule that was broken, or null. */
  readonly rule: string | null;
  readonly message: string;
  readonly lines: readonly string[];
  readonly steps: number;
  readonly digest: string;
}

const LINES = 60;

export async function runSeed(options: RunOptions): Promise<RunResult> {
  const { seed, onLine, broken } = options;
  const world = new World({ seed, ...(onLine && { onLine }), ...(broken && { broken }) });
  const random = world.random.fork("swarm");
  const faults = swarm(random);
  const count = options.faults ?? random.int(10, 45);
  world.trace.say("world", `${world.hosts.length} hosts, TTL ${world.ttlSeconds} s`);
  world.trace.say("world", `faults: ${faults.map(({ name }) => name).join(" ") || "none"}`);
  let failure: Violation | null = null;
  try {
    if (broken?.document === undefined) configure(world, random);
    else world.command({ type: "Configure", document: broken.document });
    for (const host of world.hosts) world.clock.after(random.int(0, 800), () => host.start());
    await strikeAll(world, faults, count);
    await converge(world);
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    failure = error;
  } finally {
    for (const host of world.hosts) {
      host.wanted = false;
      host.process?.kill();
    }
  }
  return {
    seed,
    rule: failure?.rule ?? null,
    message: failure?.message ?? "",
    lines: world.trace.last(LINES),
    steps: world.steps,
    digest: world.trace.digest(),
  };
}
