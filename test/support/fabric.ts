// A fabric of real agent processes in network namespaces, for tests: the one of `heddle dev`, with
// what a test wants to ask and do. Everything it made is gone after `close`, also when the test
// failed.

import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AgentStatus } from "../../src/agent/status.ts";
import {
  agentCommand,
  attachContainer,
  type Container,
  createFabric,
  type DevFabric,
  type DevHost,
  type DevOptions,
  type FlatBridge,
  removeFabric,
  removeStaleFabrics,
} from "../../src/cli/dev-fabric.ts";
import { inside } from "../../src/cli/dev-netns.ts";
import { FabricLog } from "./fabric-log.ts";
import { mortal } from "./mortal.ts";
import type { RawMessage } from "./nats-tool.ts";
import { Stopwatch } from "./stopwatch.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
/** How a user starts it. */
export const PROGRAM: readonly string[] = [join(ROOT, "bin", "heddle")];

let made = 0;

export interface LoggedEvent {
  readonly seq: number;
  readonly time: string;
  readonly subject: string;
  readonly type: string | null;
  readonly data: Readonly<Record<string, unknown>> | null;
  readonly verdict: { readonly kind: string; readonly reason?: string };
}

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export class TestFabric {
  readonly dev: DevFabric;
  readonly dir: string;
  /** The server that holds the log: to stop, freeze and roll back. */
  readonly log: FabricLog;
  readonly #agents = new Map<string, Bun.Subprocess>();
  /** Of all hosts, those that were replaced too. */
  readonly #started: Bun.Subprocess[] = [];
  readonly #containers = new Map<string, Container>();

  private constructor(dev: DevFabric, dir: string) {
    this.dev = dev;
    this.dir = dir;
    this.log = new FabricLog(dev, dir);
  }

  /** Hosts, wire and server; no configuration, no agents. */
  static async create(options: Partial<DevOptions> & { hosts: number }): Promise<TestFabric> {
    if (made === 0) removeStaleFabrics();
    const dir = mkdtempSync(join(tmpdir(), "heddle-fabric-"));
    const prefix = `hd${process.pid}${String.fromCharCode(97 + (made++ % 26))}`;
    const dev = await createFabric({ prefix, dir, ...options });
    return new TestFabric(dev, dir);
  }

  host(name: string): DevHost {
    const host = this.dev.hosts.find((candidate) => candidate.name === name);
    if (host === undefined) throw new Error(`there is no host ${name}`);
    return host;
  }

  /** `heddle …` where the server is, with --fabric and, unless given, --nats added. */
  heddle(...args: string[]): Ran {
    const nats = args.includes("--nats") ? [] : ["--nats", this.dev.nats];
    const log = [...nats, "--fabric", this.dev.fabric];
    return this.exec(this.dev.switch, [...PROGRAM, ...args, ...log]);
  }

  /** `heddle NAME …` against the agent of a host, to be run in its namespace. */
  command(name: string, host: string): readonly string[] {
    const { socket } = this.host(host);
    return [...PROGRAM, name, "--socket", socket, "--fabric", this.dev.fabric];
  }

  /** Stores raw messages as any NATS client could; returns their sequences. */
  publish(messages: readonly RawMessage[]): number[] {
    const input = messages.map((message) => JSON.stringify(message)).join("\n");
    return this.tool(input, "publish").split("\n").map(Number);
  }

  /** Does to the streams what an administrator could; see nats-tool.ts. */
  tool(input: string, ...args: string[]): string {
    const path = join(ROOT, "test", "support", "nats-tool.ts");
    const command = inside(this.dev.switch, [process.execPath, path, this.dev.nats, ...args]);
    const done = Bun.spawnSync([...command], { stdin: new TextEncoder().encode(input) });
    if (done.exitCode !== 0) throw new Error(done.stderr.toString());
    return done.stdout.toString().trimEnd();
  }

  /** `heddle down` on a host. */
  down(name: string): Ran {
    const { netns, dir, subnetFile } = this.host(name);
    const log = ["--nats", this.dev.nats, "--node", name];
    const files = ["--state-dir", join(dir, "state"), "--subnet-file", subnetFile];
    return this.exec(netns, [...this.command("down", name), ...log, ...files]);
  }

  /** What the kernel of a host holds for the fabric, as iproute2 shows it. */
  kernel(name: string): unknown {
    // Sorted: the kernel rehashes its neighbours when any namespace has many.
    const texts = (rows: Record<string, unknown>[]): string[] =>
      rows.map((row) => JSON.stringify(row)).sort();
    const ours = (rows: Record<string, unknown>[]): string[] =>
      texts(rows.filter(({ dev, ifname }) => String(dev ?? ifname).startsWith("heddle")));
    return {
      links: ours(this.ip(name, "-d link show")),
      addresses: ours(this.ip(name, "addr show")),
      routes: texts(this.ip(name, "-4 route show")),
      routes6: texts(this.ip(name, "-6 route show proto 104")),
      neighbours: ours(this.ip(name, "neigh show")),
      fdb: ours(this.bridge(name, "fdb show")),
    };
  }

  /** The whole log as `heddle events --json` shows it. */
  events(): LoggedEvent[] {
    const ran = this.heddle("events", "--json");
    if (ran.code !== 0) throw new Error(`events: ${ran.err}`);
    return ran.out.split("\n").map((line) => JSON.parse(line) as LoggedEvent);
  }

  /** Sequence of the last record. */
  head(): number {
    return this.events().at(-1)?.seq ?? 0;
  }

  async init(document: unknown): Promise<void> {
    const path = join(this.dir, "fabric.json");
    await Bun.write(path, JSON.stringify(document));
    const ran = this.heddle("init", "--config", path);
    if (ran.code !== 0) throw new Error(`init: ${ran.err}`);
  }

  /** Runs a command inside a namespace to its end. */
  exec(netns: string, command: readonly string[]): Ran {
    const done = Bun.spawnSync([...inside(netns, command)], { stdin: "ignore" });
    return {
      code: done.exitCode,
      out: done.stdout.toString().trimEnd(),
      err: done.stderr.toString().trimEnd(),
    };
  }

  /** Starts a command inside a namespace; the caller ends it. */
  spawn(netns: string, command: readonly string[]): Bun.Subprocess<"ignore", "pipe", "pipe"> {
    const options = { stdin: "ignore", stdout: "pipe", stderr: "pipe" } as const;
    return Bun.spawn(mortal(inside(netns, command)), options);
  }

  /** The command line of a host's agent, to be run in its namespace. */
  agent(name: string, ...extra: string[]): readonly string[] {
    const command = agentCommand(this.dev, this.host(name), PROGRAM, extra);
    return command.slice(command.indexOf(PROGRAM[0] ?? ""));
  }

  /** Starts the agent of a host, with a log file of its own. */
  start(name: string, ...extra: string[]): Bun.Subprocess {
    return this.startAs(PROGRAM, name, ...extra);
  }

  /** The same from another installation of the program. */
  startAs(program: readonly string[], name: string, ...extra: string[]): Bun.Subprocess {
    const host = this.host(name);
    const command = agentCommand(this.dev, host, program, extra);
    // Two that start in one millisecond must not write over each other.
    const number = String(this.#started.length).padStart(3, "0");
    const log = Bun.file(join(host.dir, `agent-${number}.log`));
    const agent = Bun.spawn([...command], { stdin: "ignore", stdout: "ignore", stderr: log });
    this.#agents.set(name, agent);
    this.#started.push(agent);
    return agent;
  }

  /** Ends the agent of a host and waits until it is gone. */
  async end(name: string, signal: NodeJS.Signals): Promise<number> {
    const agent = this.#agents.get(name);
    if (agent === undefined) throw new Error(`no agent of ${name} runs`);
    this.#agents.delete(name);
    agent.kill(signal);
    return await agent.exited;
  }

  /** Sends a signal to the agent of a host, which stays the test's. */
  signal(name: string, signal: NodeJS.Signals): void {
    this.#agents.get(name)?.kill(signal);
  }

  /** The agent's own status, or null when it does not answer. */
  async status(name: string): Promise<AgentStatus | null> {
    const unix = this.host(name).socket;
    try {
      const signal = AbortSignal.timeout(2000);
      const answer = await fetch("http://localhost/v1/status", { unix, signal });
      return (await answer.json()) as AgentStatus;
    } catch (error) {
      if (error instanceof Error) return null; // Not started yet, or killed.
      throw error;
    }
  }

  /** Resolves when every named host is ready and has `peers` peers applied. */
  async ready(names: readonly string[], peers: number, limitMs = 20_000): Promise<void> {
    await until(`${names.join(", ")} ready with ${peers} peers`, limitMs, async () => {
      for (const name of names) {
        const code = this.#agents.get(name)?.exitCode ?? null;
        if (code !== null) throw new Error(`the agent of ${name} ended with exit code ${code}`);
      }
      const statuses = await Promise.all(names.map((name) => this.status(name)));
      return statuses.every((status) => {
        const applied = status?.peers.filter((peer) => peer.state === "applied").length;
        return status?.state === "ready" && applied === peers;
      });
    });
  }

  /** Resolves when the snapshots on the disks of these hosts have come to `seq`. */
  async snapshots(names: readonly string[], seq: number): Promise<void> {
    // What changed for no host waits ten seconds, and all wait thirty times what the last one took.
    await until(`snapshots of ${names.join(", ")} at ${seq}`, 40_000, () =>
      names.every((name) => this.#snapshotSeq(name) >= seq),
    );
  }

  #snapshotSeq(name: string): number {
    const path = join(this.host(name).dir, "state", "snapshot.json");
    if (!existsSync(path)) return 0;
    const { position } = JSON.parse(readFileSync(path, "utf8")) as { position: { seq: number } };
    return position.seq;
  }

  /** Whether three packets in a row get from one container to another. */
  ping(from: Container, to: Container): boolean {
    const ping = ["ping", "-n", "-c", "3", "-i", "0.05", "-W", "1", to.ipv4 ?? to.ipv6 ?? ""];
    return this.exec(from.netns, ping).code === 0;
  }

  /** A container behind the host, made from its subnet.env. */
  container(name: string, flat: FlatBridge | null = null): Container {
    const known = this.#containers.get(name);
    if (known !== undefined) return known;
    const container = attachContainer(this.host(name), flat);
    this.#containers.set(name, container);
    return container;
  }

  /** What `ip -j …` says inside a host. */
  ip(name: string, args: string): Record<string, unknown>[] {
    return this.json(name, `ip -j ${args}`);
  }

  bridge(name: string, args: string): Record<string, unknown>[] {
    return this.json(name, `bridge -j ${args}`);
  }

  private json(name: string, command: string): Record<string, unknown>[] {
    const ran = this.exec(this.host(name).netns, command.split(" "));
    if (ran.code !== 0) throw new Error(`${command}: ${ran.err}`);
    return ran.out === "" ? [] : (JSON.parse(ran.out) as Record<string, unknown>[]);
  }

  /** Text of a host's agent logs, for messages of failed tests. */
  logs(name: string): string {
    const glob = new Bun.Glob("agent-*.log");
    const files = [...glob.scanSync(this.host(name).dir)].sort();
    return files.map((file) => readFileSync(join(this.host(name).dir, file), "utf8")).join("");
  }

  async close(): Promise<void> {
    for (const agent of this.#started) {
      agent.kill("SIGKILL");
      await agent.exited;
    }
    this.log.thaw();
    await removeFabric({ ...this.dev, server: this.log.server }, this.dir);
  }
}

/**
 * A fabric for one test: removed afterwards, with its agents' logs on stderr if the test failed.
 */
export async function withFabric(
  options: Parameters<typeof TestFabric.create>[0],
  work: (fabric: TestFabric) => Promise<void>,
): Promise<void> {
  const fabric = await TestFabric.create(options);
  try {
    await work(fabric);
  } catch (error) {
    for (const { name } of fabric.dev.hosts.slice(0, 6)) {
      process.stderr.write(`--- ${name}\n${fabric.logs(name)}`);
    }
    throw error;
  } finally {
    await fabric.close();
  }
}

/**
 * Milliseconds until `condition` holds; fails with `what` after `limitMs` in which the machine had
 * time. A question rests as long as it took (10 to 100 ms), so that who waits leaves the core to
 * those it waits for.
 */
export async function until(
  what: string,
  limitMs: number,
  condition: () => boolean | Promise<boolean>,
): Promise<number> {
  const watch = new Stopwatch();
  for (;;) {
    const askedMs = watch.wallMs();
    if (await condition()) return watch.wallMs();
    const nowMs = watch.wallMs();
    if (watch.freeMs() > limitMs) {
      throw new Error(`not in ${limitMs} ms (by the clock ${nowMs.toFixed(0)} ms): ${what}`);
    }
    await Bun.sleep(Math.min(Math.max(10, nowMs - askedMs), 100));
  }
}
