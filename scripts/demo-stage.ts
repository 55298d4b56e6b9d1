// What the demo's acts share: the fabric, its processes, running a command in sight of the audience,
// and waiting for a condition instead of for a time.

import type { Subprocess } from "bun";
import { agentCommand, type DevFabric, type DevHost } from "../src/cli/dev-fabric.ts";
import { inside } from "../src/cli/dev-netns.ts";

export interface Stage {
  readonly fabric: DevFabric;
  readonly program: readonly string[];
  readonly agents: Map<string, Subprocess>;
  readonly results: { readonly what: string; readonly result: string }[];
}

/** A check of the demo that came out wrong. */
export class DemoFailure extends Error {
  override readonly name = "DemoFailure";
}

export function title(text: string): void {
  process.stdout.write(`\n== ${text}\n`);
}

export function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function record(stage: Stage, what: string, result: string): void {
  stage.results.push({ what, result });
  say(`-> ${what}: ${result}`);
}

/** Starts the agent of `host`; its log goes to a file of the host. */
export function startAgent(stage: Stage, host: DevHost): void {
  const log = Bun.file(`${host.dir}/agent.log`);
  const command = agentCommand(stage.fabric, host, stage.program);
  const agent = Bun.spawn([...command], { stdin: "ignore", stdout: "ignore", stderr: log });
  stage.agents.set(host.name, agent);
}

export async function endAgent(stage: Stage, name: string, signal: NodeJS.Signals): Promise<void> {
  const agent = stage.agents.get(name);
  stage.agents.delete(name);
  agent?.kill(signal);
  await agent?.exited;
}

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command inside a namespace, quietly. */
export function quiet(netns: string, command: readonly string[]): Ran {
  const done = Bun.spawnSync([...inside(netns, command)], { stdin: "ignore" });
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes).trimEnd();
  return { code: done.exitCode, out: text(done.stdout), err: text(done.stderr) };
}

/** Runs a command inside a namespace and shows it with what it printed. */
export function show(netns: string, command: readonly string[]): Ran {
  say(`${netns}$ ${command.join(" ")}`);
  const ran = quiet(netns, command);
  if (ran.out !== "") say(indent(ran.out));
  if (ran.code !== 0) {
    throw new DemoFailure(`${command.join(" ")}: ${ran.err || `exit code ${ran.code}`}`);
  }
  return ran;
}

/** The same for heddle itself, asked from where the server is. */
export function heddle(stage: Stage, args: readonly string[]): Ran {
  const { fabric, program } = stage;
  const logArgs = ["--nats", fabric.nats, "--fabric", fabric.fabric];
  say(`$ heddle ${args.join(" ")}`);
  const ran = quiet(fabric.switch, [...program, ...args, ...logArgs]);
  if (ran.out !== "") say(indent(ran.out));
  if (ran.code !== 0) {
    throw new DemoFailure(`heddle ${args.join(" ")}: ${ran.err || `exit code ${ran.code}`}`);
  }
  return ran;
}

/** Milliseconds until `condition` holds; fails with `what` after `limitMs`. */
export async function until(
  what: string,
  limitMs: number,
  condition: () => boolean,
): Promise<number> {
  const start = performance.now();
  while (!condition()) {
    if (performance.now() - start > limitMs) {
      throw new DemoFailure(`not within ${limitMs / 1000} s: ${what}`);
    }
    await Bun.sleep(10);
  }
  return performance.now() - start;
}

export function indent(text: string): string {
  return text.replace(/^/gm, "    ");
}
