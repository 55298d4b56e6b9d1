// `npm run demo`: a fabric of three hosts on this machine, on the real kernel and a real
// nats-server, and in plain sight what the log makes possible. Ends with a table and exit code 0,
// or with the check that failed and exit code 1. Removes everything it made, when it is
// interrupted too.

import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  attachContainer,
  type Container,
  createFabric,
  devDir,
  removeFabric,
  removeStaleFabrics,
} from "../src/cli/dev-fabric.ts";
import { guide } from "../src/cli/dev-guide.ts";
import { type Acts, act, shortName } from "./demo-acts.ts";
import {
  DemoFailure,
  endAgent,
  heddle,
  heddleOn,
  record,
  type Stage,
  say,
  startAgent,
  title,
  untilReady,
} from "./demo-stage.ts";

const HOSTS = 3;
const BACKENDS = ["vxlan", "host-gw", "udp"];
const prefix = `hd${process.pid}`;
const dir = devDir(prefix);
const program = join(import.meta.dir, "..", "bin", "heddle");

interface Flags {
  readonly backend: string;
  readonly keep: boolean;
}

function flags(): Flags | { readonly wrong: string } {
  try {
    const { values } = parseArgs({
      options: {
        backend: { type: "string", default: "vxlan" },
        keep: { type: "boolean", default: false },
      },
    });
    if (BACKENDS.includes(values.backend)) return values;
    return { wrong: `--backend ${values.backend}: expected vxlan, host-gw or udp` };
  } catch (error) {
    return { wrong: error instanceof Error ? error.message : String(error) };
  }
}

async function main(): Promise<number> {
  const chosen = flags();
  if ("wrong" in chosen) {
    process.stderr.write(`demo: ${chosen.wrong}\n`);
    return 2;
  }
  if (process.getuid?.() !== 0) {
    process.stderr.write("demo: needs root, for network namespaces and VXLAN devices\n");
    return 1;
  }
  const interrupted = Promise.withResolvers<void>();
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => interrupted.resolve());
  removeStaleFabrics();
  const start = performance.now();
  title(`${HOSTS} hosts, a wire between them and a nats-server, all in network namespaces`);
  const fabric = await createFabric({ prefix, hosts: HOSTS, dir });
  const stage: Stage = { fabric, program, agents: new Map(), results: [] };
  try {
    const playing = play(stage, chosen.backend).then((containers) => {
      printTable(stage, (performance.now() - start) / 1000);
      return containers;
    });
    const containers = await Promise.race([playing, interrupted.promise.then(() => null)]);
    if (containers === null) return 130;
    if (chosen.keep) await keep(stage, chosen, containers, interrupted.promise);
    return 0;
  } catch (error) {
    printTable(stage, (performance.now() - start) / 1000);
    say(`\nFAILED: ${error instanceof DemoFailure ? error.message : Bun.inspect(error)}`);
    return 1;
  } finally {
    await tearDown(stage);
  }
}

async function play(stage: Stage, backend: string): Promise<readonly Container[]> {
  const containers = await begin(stage, backend);
  const acts: Acts = { stage, containers, backend };
  act.pingAll(acts);
  await act.healRoute(acts);
  await act.killAgent(acts);
  const before = await act.leave(acts);
  act.replay(acts, before);
  act.timeTravel(acts, before);
  return containers;
}

/** An empty log, a configuration, three agents, a container behind each. */
async function begin(stage: Stage, backend: string): Promise<readonly Container[]> {
  const { fabric } = stage;
  say(`nats-server ${fabric.server.version} at ${fabric.nats}, with an empty log`);
  say(`h1, h2, h3 stand for the namespaces ${prefix}-h1 to ${prefix}-h3, c1 to c3 likewise\n`);
  const config = join(dir, "fabric.json");
  const document = JSON.stringify({ Network: "10.5.0.0/16", Backend: { Type: backend } });
  await Bun.write(config, `${document}\n`);
  say(`$ cat fabric.json\n    ${document}`);
  heddle(stage, ["init", "--config", "fabric.json"], [["fabric.json", config]]);

  title("An agent starts on each host; they share the network out among themselves");
  const joined = performance.now();
  for (const host of fabric.hosts) startAgent(stage, host);
  for (const host of fabric.hosts) await untilReady(host, HOSTS - 1);
  const ms = performance.now() - joined;
  for (const host of fabric.hosts) {
    heddleOn(stage, host, ["status", "--brief"], ["--socket", host.socket]);
  }
  record(stage, `${HOSTS} agents started together are all ready after`, `${ms.toFixed(0)} ms`);

  title("A container behind each host, addressed from the subnet.env that the agent wrote");
  return fabric.hosts.map((host) => {
    const container = attachContainer(host);
    say(`${shortName(container)} has ${container.ipv4}, behind ${host.name} (${host.ip})`);
    return container;
  });
}

function printTable(stage: Stage, seconds: number): void {
  title(`All of it took ${seconds.toFixed(1)} s`);
  const width = Math.max(0, ...stage.results.map(({ what }) => what.length));
  for (const { what, result } of stage.results) say(`  ${what.padEnd(width)}  ${result}`);
}

/** The host that left comes back, and everything runs until the demo is interrupted. */
async function keep(
  stage: Stage,
  { backend }: Flags,
  containers: readonly Container[],
  interrupted: Promise<void>,
): Promise<void> {
  const { fabric } = stage;
  title("It stays");
  for (const host of fabric.hosts) if (!stage.agents.has(host.name)) startAgent(stage, host);
  for (const host of fabric.hosts) await untilReady(host, HOSTS - 1);
  for (const line of guide({ fabric, dir, backend, containers, program })) {
    // Not clipped: to be copied.
    process.stdout.write(`${line}\n`);
  }
  await interrupted;
}

async function tearDown(stage: Stage): Promise<void> {
  for (const name of [...stage.agents.keys()]) await endAgent(stage, name, "SIGTERM");
  await removeFabric(stage.fabric, dir);
}

process.exit(await main());
