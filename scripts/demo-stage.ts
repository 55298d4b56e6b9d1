// What the demo's acts share: the fabric, its processes, running a command in sight of the
// audience, and waiting for a condition instead of for a time.

import type { Subprocess } from "bun";
import type { AgentStatus } from "../src/agent/status.ts";
import { agentCommand, type DevFabric, type DevHost } from "../src/cli/dev-fabric.ts";
import { inside } from "../src/cli/dev-netns.ts";

export interface Stage {
  readonly fabric: DevFabric;
  readonly program: string;
  readonly agents: Map<string, Subprocess>;
  readonly results: { readonly what: string; readonly result: string }[];
}

/** A check of the demo that came out wrong. */
export class DemoFailure extends Error {
  override readonly name = "DemoFailure";
}

/** What a usual terminal shows without wrapping. */
const WIDTH = 100;
let acts = 0;

export function title(text: string): void {
  acts += 1;
  process.stdout.write(`\n== ${acts}. ${text}\n\n`);
}

export function say(text: string): void {
  for (const line of text.split("\n")) process.stdout.write(`${wrapped(line.trimEnd())}\n`);
}

/** Broken between words, the rest further in than where the line began. */
function wrapped(line: string): string {
  const further = `${/^ */.exec(line)?.[0] ?? ""}        `;
  const lines: string[] = [];
  let rest = line;
  while (rest.length > WIDTH) {
    const cut = rest.lastIndexOf(" ", WIDTH);
    if (cut <= further.length) break;
    lines.push(rest.slice(0, cut));
    rest = further + rest.slice(cut + 1);
  }
  return [...lines, rest].join("\n");
}

export function record(stage: Stage, what: string, result: string): void {
  stage.results.push({ what, result });
  say(`\n-> ${what}: ${result}`);
}

/** Starts the agent of `host`; its log goes to a file of the host. */
export function startAgent(stage: Stage, host: DevHost): void {
  const log = Bun.file(`${host.dir}/agent.log`);
  const command = agentCommand(stage.fabric, host, [stage.program]);
  const agent = Bun.spawn([...command], { stdin: "ignore", stdout: "ignore", stderr: log });
  stage.agents.set(host.name, agent);
}

export async function endAgent(stage: Stage, name: string, signal: NodeJS.Signals): Promise<void> {
  const agent = stage.agents.get(name);
  stage.agents.delete(name);
  agent?.kill(signal);
  await agent?.exited;
}

/** Milliseconds until the agent of `host` is ready and reaches `peers` others. */
export function untilReady(host: DevHost, peers: number): Promise<number> {
  return until(`the agent of ${host.name} is ready with ${peers} peers`, 15_000, async () => {
    const status = await statusOf(host);
    const applied = status?.peers.filter(({ state }) => state === "applied").length;
    return status?.state === "ready" && applied === peers;
  });
}

/** Null while the agent does not answer. */
async function statusOf(host: DevHost): Promise<AgentStatus | null> {
  try {
    const answer = await fetch("http://agent/v1/status", { unix: host.socket });
    return (await answer.json()) as AgentStatus;
  } catch (error) {
    if (error instanceof Error) return null;
    throw error;
  }
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

/** Runs a command inside a namespace of the fabric and shows it with what it printed. */
export function show(netns: string, command: readonly string[]): Ran {
  return shown(netns, command, command.join(" "));
}

/**
 * The same for heddle itself, asked from where the server is. `real` says what to pass for a word
 * that is shown short.
 */
export function heddle(
  stage: Stage,
  args: readonly string[],
  real: readonly (readonly [string, string])[] = [],
): Ran {
  const { fabric, program } = stage;
  const full = new Map(real);
  const passed = args.map((arg) => full.get(arg) ?? arg);
  const log = ["--nats", fabric.nats, "--fabric", fabric.fabric];
  return shown(fabric.switch, [program, ...passed, ...log], `heddle ${args.join(" ")}`);
}

/** And on one of the hosts, with more flags than the audience needs to see. */
export function heddleOn(stage: Stage, host: DevHost, args: string[], more: string[]): Ran {
  return shown(host.netns, [stage.program, ...args, ...more], `heddle ${args.join(" ")}`);
}

function shown(netns: string, command: readonly string[], words: string): Ran {
  // "hd4711-h1" is h1; the server's namespace is the one where anybody may ask.
  const where = netns.slice(netns.indexOf("-") + 1);
  say(`${where === "sw" ? "" : where}$ ${words}`);
  const ran = quiet(netns, command);
  if (ran.out !== "") say(indent(ran.out));
  if (ran.code !== 0) throw new DemoFailure(`${words}: ${ran.err || `exit code ${ran.code}`}`);
  return ran;
}

/** Milliseconds until `condition` holds; fails with `what` after `limitMs`. */
export async function until(
  what: string,
  limitMs: number,
  condition: () => boolean | Promise<boolean>,
): Promise<number> {
  const start = performance.now();
  while (!(await condition())) {
    if (performance.now() - start > limitMs) {
      throw new DemoFailure(`not within ${limitMs / 1000} s: ${what}`);
    }
    await Bun.sleep(5);
  }
  return performance.now() - start;
}

/** As a block, without the indentation that all its lines have already. */
export function indent(text: string): string {
  const lines = text.split("\n");
  const filled = lines.filter((line) => line.trim() !== "");
  const common = Math.min(...filled.map((line) => line.length - line.trimStart().length));
  return lines.map((line) => `    ${line.slice(common)}`).join("\n");
}
