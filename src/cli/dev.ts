// heddle dev: a whole fabric in network namespaces on this machine, until it is told to stop. It
// owns the agents' processes and everything the fabric made; agents and server end with it even
// when it is killed, and what is then left over is removed by the next one.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { AgentStatus } from "../agent/status.ts";
import { sleep } from "../events/clock.ts";
import { parseNetworkConfig } from "../events/network-config.ts";
import type { Backend } from "../events/network-config-backend.ts";
import { deviceName } from "../reconcilers/link.ts";
import { askAgent } from "./agent-client.ts";
import type { Deps } from "./deps.ts";
import {
  addBridge,
  agentCommand,
  attachContainer,
  createFabric,
  type DevFabric,
  type DevHost,
  devDir,
  type FlatBridge,
  removeFabric,
  removeStaleFabrics,
} from "./dev-fabric.ts";
import { guide } from "./dev-guide.ts";
import { inside } from "./dev-netns.ts";
import { EXIT_FAILED, EXIT_OK, Failure, misuse } from "./failure.ts";
import { requireNetAdmin } from "./privilege.ts";

interface DevFlags {
  readonly hosts?: number;
  readonly backend?: string;
  readonly config?: string;
}

interface Chosen {
  readonly document: unknown;
  readonly backend: string;
  readonly flat: FlatBridge | null;
}

const HOSTS = 3;
const READY_MS = 30_000;
const STOP_MS = 5000;
const LOOK_MS = 50;

export async function dev(deps: Deps, flags: DevFlags): Promise<number> {
  const chosen = await configuration(flags);
  requireNetAdmin(deps);
  removeStaleFabrics();
  const prefix = `hd${process.pid}`;
  const dir = devDir(prefix);
  const told = Promise.withResolvers<void>();
  // From here on a signal must not end the process before everything is removed.
  const forget = deps.onSignal(() => told.resolve());
  try {
    const fabric = await createFabric({ prefix, dir, hosts: flags.hosts ?? HOSTS });
    const stage = new DevStage(deps, fabric, dir);
    try {
      return await stand(deps, stage, chosen, told.promise);
    } finally {
      await stage.clear();
    }
  } finally {
    forget();
  }
}

async function stand(
  deps: Deps,
  stage: DevStage,
  chosen: Chosen,
  told: Promise<void>,
): Promise<number> {
  const scene = stage.raise(chosen);
  // Told to stop while it rises: nobody waits for the rest, least of all its failure.
  scene.catch(() => undefined);
  await Promise.race([scene.then((lines) => lines.forEach(deps.out.line)), told]);
  return await Promise.race([stage.lost(), told.then(() => EXIT_OK)]);
}

async function configuration({ config, backend }: DevFlags): Promise<Chosen> {
  const document =
    config === undefined
      ? { Network: "10.5.0.0/16", Backend: { Type: backend ?? "vxlan" } }
      : await readDocument(config);
  const parsed = parseNetworkConfig(document);
  if (!parsed.ok) throw misuse(config ?? "--backend", parsed.reason);
  const { backend: chosen } = parsed.config;
  return { document: parsed.document, backend: chosen.type, flat: flatBridge(chosen) };
}

function flatBridge(backend: Backend): FlatBridge | null {
  if (backend.type !== "vxlan" || backend.flood === null) return null;
  const { bridge, underlay } = backend.flood;
  if (bridge !== null) return { name: bridge, port: null };
  return { name: "ctr0", port: deviceName(backend.vni, underlay) };
}

async function readDocument(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw misuse(`--config ${path}`, reason);
  }
}

/** The processes of the fabric, from the first agent to the last file. */
class DevStage {
  readonly #deps: Deps;
  readonly #fabric: DevFabric;
  readonly #dir: string;
  readonly #agents = new Map<string, Bun.Subprocess>();
  #clearing = false;

  constructor(deps: Deps, fabric: DevFabric, dir: string) {
    this.#deps = deps;
    this.#fabric = fabric;
    this.#dir = dir;
  }

  /** Configures the log, starts agents and containers; resolves with what to tell about it. */
  async raise({ document, backend, flat }: Chosen): Promise<readonly string[]> {
    const { hosts } = this.#fabric;
    await this.#init(document);
    if (this.#clearing) return [];
    if (flat?.port === null) for (const host of hosts) addBridge(host, flat.name);
    for (const host of hosts) this.#start(host);
    for (const host of hosts) await this.#ready(host);
    if (this.#clearing) return [];
    const containers = hosts.map((host) => attachContainer(host, flat));
    const { program } = this.#deps;
    return guide({ fabric: this.#fabric, dir: this.#dir, backend, containers, program });
  }

  /** Resolves when the fabric cannot go on. */
  async lost(): Promise<number> {
    const { lastLine } = await this.#fabric.server.exited;
    // Ctrl-C reaches every process of the terminal, the server perhaps before us.
    if (!this.#clearing) this.#deps.out.note(`heddle: nats-server ended: ${lastLine}`);
    return EXIT_FAILED;
  }

  async clear(): Promise<void> {
    this.#clearing = true;
    const agents = [...this.#agents.values()];
    for (const agent of agents) agent.kill("SIGTERM");
    const cancel = this.#deps.clock.after(STOP_MS, () => {
      for (const agent of agents) agent.kill("SIGKILL");
    });
    await Promise.all(agents.map((agent) => agent.exited));
    cancel();
    await removeFabric(this.#fabric, this.#dir);
  }

  async #init(document: unknown): Promise<void> {
    const { nats, fabric, switch: wire } = this.#fabric;
    const path = join(this.#dir, "fabric.json");
    await writeFile(path, `${JSON.stringify(document)}\n`);
    const log = ["--nats", nats, "--fabric", fabric];
    const command = [this.#deps.program, "init", "--config", path, ...log];
    const child = Bun.spawn([...inside(wire, command)], { stdin: "ignore", stderr: "pipe" });
    const said = await new Response(child.stderr).text();
    if ((await child.exited) !== 0) throw new Failure(EXIT_FAILED, said.trim());
  }

  #start(host: DevHost): void {
    const log = Bun.file(join(host.dir, "agent.log"));
    const command = agentCommand(this.#fabric, host, [this.#deps.program]);
    const agent = Bun.spawn([...command], { stdin: "ignore", stdout: "ignore", stderr: log });
    this.#agents.set(host.name, agent);
    void agent.exited.then((code) => {
      if (this.#clearing) return;
      const how = agent.signalCode ?? `exit code ${code}`;
      this.#deps.out.note(`heddle: the agent of ${host.name} ended (${how}); start it again with`);
      this.#deps.out.note(`  ${command.join(" ")}`);
    });
  }

  async #ready(host: DevHost): Promise<void> {
    const { clock } = this.#deps;
    const peers = this.#fabric.hosts.length - 1;
    const untilMs = clock.nowMs() + READY_MS;
    while (!this.#clearing) {
      const status = await statusOf(host);
      if (status?.state === "ready" && status.peers.length === peers) return;
      const gone = this.#agents.get(host.name)?.exitCode ?? null;
      if (gone !== null || clock.nowMs() > untilMs) {
        const why = status?.problems[0] ?? `see ${join(host.dir, "agent.log")}`;
        throw new Failure(EXIT_FAILED, `the agent of ${host.name} is not ready: ${why}`);
      }
      await sleep(clock, LOOK_MS);
    }
  }
}

/** Null while the agent does not answer. */
async function statusOf(host: DevHost): Promise<AgentStatus | null> {
  try {
    return await askAgent<AgentStatus>(host.socket, "GET", "/v1/status");
  } catch (error) {
    if (error instanceof Failure) return null;
    throw error;
  }
}
