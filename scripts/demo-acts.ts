// The acts of the demo. Each does something to the network, shows it with the tools everybody has
// (ip, bridge, ping), checks it, and records one line for the table at the end.

import type { Container } from "../src/cli/dev-fabric.ts";
import { addNetns, deleteNetns, inside } from "../src/cli/dev-netns.ts";
import {
  DemoFailure,
  endAgent,
  heddle,
  quiet,
  record,
  type Stage,
  say,
  show,
  startAgent,
  title,
  until,
} from "./demo-stage.ts";

export interface Acts {
  readonly stage: Stage;
  readonly containers: readonly Container[];
  readonly backend: string;
}

/** What the network looked like before the third host left. */
export interface Before {
  readonly seq: number;
  readonly time: string;
  readonly routes: string;
  readonly fdb: string;
}

/** Between two packets of the ping that must not lose any. */
const PING_INTERVAL_S = 0.005;
const PING_COUNT = 1000;
const HEAL_LIMIT_MS = 2000;

export const act = { pingAll, healRoute, killAgent, leave, replay, timeTravel } as const;

function pingAll({ stage, containers, backend }: Acts): void {
  title(`every container pings every other over ${backend}`);
  let pairs = 0;
  for (const from of containers) {
    for (const to of containers) {
      if (from === to || to.ipv4 === null) continue;
      const ran = quiet(from.netns, ["ping", "-c1", "-W2", to.ipv4]);
      if (ran.code !== 0) throw new DemoFailure(`${from.netns} cannot reach ${to.ipv4}`);
      say(`${from.netns}  ${ran.out.split("\n")[1]}`);
      pairs++;
    }
  }
  const netns = hostOf(stage, 0).netns;
  show(netns, ["ip", "route", "show", "proto", "104"]);
  if (backend === "vxlan") show(netns, ["bridge", "fdb", "show", "dev", "heddle.1"]);
  record(stage, "container pairs that ping", `${pairs} of ${pairs}`);
}

async function healRoute({ stage, containers }: Acts): Promise<void> {
  title("somebody deletes a route; the host puts it back and says so in the log");
  const host = hostOf(stage, 0);
  const subnet = subnetBehind(containers[1]);
  const present = (): boolean => quiet(host.netns, ["ip", "route", "show", subnet]).out !== "";
  show(host.netns, ["ip", "route", "del", subnet]);
  const ms = await until(`${subnet} is back on ${host.name}`, HEAL_LIMIT_MS, present);
  show(host.netns, ["ip", "route", "show", subnet]);
  await until("the log has DriftHealed", 5000, () => events(stage, "DriftHealed") !== "");
  heddle(stage, ["events", "--type", "DriftHealed"]);
  record(stage, "deleted route healed", `${ms.toFixed(0)} ms`);
}

async function killAgent({ stage, containers }: Acts): Promise<void> {
  title("an agent is killed with kill -9 while packets flow, and started again");
  const host = hostOf(stage, 0);
  const to = containers[1]?.ipv4;
  const from = containers[0]?.netns;
  if (to == null || from === undefined) throw new DemoFailure("no containers");
  const count = String(PING_COUNT);
  const command = inside(from, ["ping", "-q", "-i", String(PING_INTERVAL_S), "-c", count, to]);
  const ping = Bun.spawn([...command], { stdin: "ignore", stdout: "pipe" });
  await Bun.sleep(1000);
  await endAgent(stage, host.name, "SIGKILL");
  say(`${host.netns}$ kill -9 <heddle agent>`);
  startAgent(stage, host);
  const ms = await until("the agent is ready again", 10_000, () => isReady(stage, host.socket));
  say(`agent of ${host.name} ready again after ${ms.toFixed(0)} ms`);
  const report = await new Response(ping.stdout).text();
  const lines = report.split("\n").filter((line) => line.includes("packets"));
  say(`    ${lines.join("")}`);
  const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(report) ?? [];
  if (sent === undefined || sent !== received) throw new DemoFailure("packets were lost");
  record(stage, "packets lost over kill -9 and restart", `0 of ${sent}`);
}

async function leave(acts: Acts): Promise<Before> {
  const { stage, containers } = acts;
  title("a host leaves: its routes are withdrawn everywhere");
  const [first, second, third] = [hostOf(stage, 0), hostOf(stage, 1), hostOf(stage, 2)];
  const before = look(stage);
  const subnet = subnetBehind(containers[2]);
  const down = ["down", "--socket", third.socket, "--subnet-file", third.subnetFile];
  const start = performance.now();
  const own = ["--nats", stage.fabric.nats, "--node", third.name];
  show(third.netns, [...stage.program, ...down, ...own]);
  stage.agents.delete(third.name);
  for (const host of [first, second]) {
    const gone = (): boolean => quiet(host.netns, ["ip", "route", "show", subnet]).out === "";
    await until(`${subnet} is gone from ${host.name}`, HEAL_LIMIT_MS, gone);
  }
  const ms = performance.now() - start;
  show(first.netns, ["ip", "route", "show", "proto", "104"]);
  heddle(stage, ["nodes"]);
  record(stage, "host left, withdrawn everywhere", `${ms.toFixed(0)} ms`);
  return before;
}

function replay({ stage, backend }: Acts, before: Before): void {
  title("the same history, replayed into an empty namespace, gives the same kernel");
  const netns = `${hostOf(stage, 0).netns}-replay`;
  addNetns(netns);
  try {
    const at = String(before.seq);
    const args = ["replay", "--node", hostOf(stage, 0).name, "--at", at, "--netns", netns];
    heddle(stage, args);
    show(netns, ["ip", "route", "show", "proto", "104"]);
    const routes = kernelRoutes(netns);
    const fdb = kernelFdb(netns, backend);
    if (routes !== before.routes) throw new DemoFailure("replayed routes differ");
    if (fdb !== before.fdb) throw new DemoFailure("replayed FDB entries differ");
    record(stage, "replayed kernel state compared with the host's", "identical");
  } finally {
    deleteNetns(netns);
  }
}

function timeTravel({ stage }: Acts, before: Before): void {
  title("the network as it was a moment ago, and what changed since");
  heddle(stage, ["state", "--at", before.time]);
  heddle(stage, ["diff", "--from", String(before.seq), "--to", String(headOf(stage))]);
  heddle(stage, ["events"]);
  record(stage, "state and difference at any sequence or time", `sequence ${before.seq} shown`);
}

function look(stage: Stage): Before {
  const { netns } = hostOf(stage, 0);
  const seq = headOf(stage);
  return {
    seq,
    time: new Date().toISOString(),
    routes: kernelRoutes(netns),
    fdb: kernelFdb(netns, "vxlan"),
  };
}

function headOf(stage: Stage): number {
  const args = ["state", "--json", "--nats", stage.fabric.nats];
  const state = quiet(stage.fabric.switch, [...stage.program, ...args]);
  return JSON.parse(state.out).seq;
}

/** Our routes as the kernel tells them to an independent reader. */
function kernelRoutes(netns: string): string {
  return quiet(netns, ["ip", "route", "show", "proto", "104"]).out;
}

function kernelFdb(netns: string, backend: string): string {
  if (backend !== "vxlan") return "";
  return quiet(netns, ["bridge", "fdb", "show", "dev", "heddle.1"])
    .out.split("\n")
    .sort()
    .join("\n");
}

function isReady(stage: Stage, socket: string): boolean {
  const command = [...stage.program, "status", "--socket", socket, "--brief"];
  return Bun.spawnSync(command, { stderr: "ignore" }).exitCode === 0;
}

function events(stage: Stage, type: string): string {
  const args = ["events", "--type", type, "--nats", stage.fabric.nats];
  return quiet(stage.fabric.switch, [...stage.program, ...args]).out;
}

function hostOf(stage: Stage, index: number): Stage["fabric"]["hosts"][number] {
  const host = stage.fabric.hosts[index];
  if (host === undefined) throw new DemoFailure(`there is no host ${index}`);
  return host;
}

function subnetBehind(container: Container | undefined): string {
  return (container?.ipv4 ?? "").replace(/\.2$/, ".0/24");
}
