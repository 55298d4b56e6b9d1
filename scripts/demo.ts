// `npm run demo`: a fabric of three hosts on this machine, on the real kernel and a real nats-server,
// and in plain sight what the log makes possible. Ends with a table and exit code 0, or with the
// check that failed and exit code 1. Removes everything it made unless it is told to keep it.

import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  attachContainer,
  type Container,
  createFabric,
  type DevFabric,
  devDir,
  removeFabric,
  removeStaleFabrics,
} from "../src/cli/dev-fabric.ts";
import { type Acts, act } from "./demo-acts.ts";
import {
  DemoFailure,
  endAgent,
  heddle,
  record,
  type Stage,
  say,
  startAgent,
  title,
  until,
} from "./demo-stage.ts";

const { values } = parseArgs({
  options: {
    backend: { type: "string", default: "vxlan" },
    keep: { type: "boolean", default: false },
  },
});

const HOSTS = 3;
const prefix = `hd${process.pid}`;
const dir = devDir(prefix);
const root = new URL("..", import.meta.url).pathname;

async function main(): Promise<number> {
  if (process.getuid?.() !== 0) {
    process.stderr.write("demo: needs root, for network namespaces and VXLAN devices\n");
    return 1;
  }
  if (!["vxlan", "host-gw"].includes(values.backend)) {
    process.stderr.write(`demo: --backend: expected vxlan or host-gw, got ${values.backend}\n`);
    return 2;
  }
  removeStaleFabrics();
  const start = performance.now();
  title(`${HOSTS} hosts, a wire between them and a nats-server, all in network namespaces`);
  const program = [join(root, "bin", "heddle")];
  const fabric = await createFabric({ prefix, hosts: HOSTS, dir });
  const stage: Stage = { fabric, program, agents: new Map(), results: [] };
  say(`nats-server ${fabric.server.version} at ${fabric.nats}, store in ${dir}`);
  let code = 0;
  try {
    await play(stage);
  } catch (error) {
    code = 1;
    say(`\nFAILED: ${error instanceof DemoFailure ? error.message : Bun.inspect(error)}`);
  }
  printTable(stage, (performance.now() - start) / 1000);
  if (values.keep && code === 0) await keep(fabric);
  await tearDown(stage);
  return code;
}

async function play(stage: Stage): Promise<void> {
  const containers = await begin(stage);
  const acts: Acts = { stage, containers, backend: values.backend };
  act.pingAll(acts);
  await act.healRoute(acts);
  await act.killAgent(acts);
  const before = await act.leave(acts);
  act.replay(acts, before);
  act.timeTravel(acts, before);
}

/** An empty log, a configuration, three agents, a container behind each. */
async function begin(stage: Stage): Promise<readonly Container[]> {
  const { fabric } = stage;
  const config = join(dir, "fabric.json");
  const document = { Network: "10.5.0.0/16", Backend: { Type: values.backend } };
  await Bun.write(config, `${JSON.stringify(document)}\n`);
  say(`$ cat fabric.json\n    ${JSON.stringify(document)}`);
  heddle(stage, ["init", "--config", config]);

  title("three agents join the empty log");
  const joined = performance.now();
  for (const host of fabric.hosts) startAgent(stage, host);
  for (const host of fabric.hosts) await untilReady(stage, host.socket);
  const ms = performance.now() - joined;
  heddle(stage, ["leases"]);
  record(stage, `${HOSTS} agents started, joined and ready`, `${ms.toFixed(0)} ms`);

  title("a container behind each host, addressed from the host's subnet.env");
  return fabric.hosts.map((host) => {
    const container = attachContainer(host);
    say(`${container.netns}  ${container.ipv4}  behind ${host.name} (${host.ip})`);
    return container;
  });
}

async function untilReady(stage: Stage, socket: string): Promise<void> {
  const command = [...stage.program, "status", "--socket", socket, "--brief"];
  await until(`agent at ${socket} is ready with ${HOSTS - 1} peers`, 15_000, () => {
    const status = Bun.spawnSync([...stage.program, "status", "--socket", socket, "--json"]);
    if (status.exitCode !== 0) return false;
    return JSON.parse(status.stdout.toString()).peers.length === HOSTS - 1;
  });
  say(`$ heddle status --brief\n    ${Bun.spawnSync(command).stdout.toString().trimEnd()}`);
}

function printTable(stage: Stage, seconds: number): void {
  title(`what happened in ${seconds.toFixed(1)} s`);
  const width = Math.max(0, ...stage.results.map(({ what }) => what.length));
  for (const { what, result } of stage.results) say(`${what.padEnd(width)}  ${result}`);
}

/** Leaves everything running until the demo is interrupted. */
async function keep(fabric: DevFabric): Promise<void> {
  title("kept; press Ctrl-C to remove everything");
  for (const host of fabric.hosts) {
    say(`${host.name}: nsenter --net=/run/netns/${host.netns} ip route; ${host.socket}`);
  }
  const ask = `nsenter --net=/run/netns/${fabric.switch} ${join(root, "bin", "heddle")}`;
  say(`log: ${ask} events --nats ${fabric.nats}`);
  await new Promise<void>((resolve) => {
    process.once("SIGINT", () => resolve());
    process.once("SIGTERM", () => resolve());
  });
}

async function tearDown(stage: Stage): Promise<void> {
  for (const name of [...stage.agents.keys()]) await endAgent(stage, name, "SIGTERM");
  await removeFabric(stage.fabric, dir);
}

process.exit(await main());
