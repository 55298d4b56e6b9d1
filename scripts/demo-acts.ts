// The acts of the demo. Each does something to the network, shows it with the tools everybody has
// (ip, bridge, ping), checks it, and records one line for the table at the end.

import type { Container } from "../src/cli/dev-fabric.ts";
import { addNetns, deleteNetns, inside } from "../src/cli/dev-netns.ts";
import {
  DemoFailure,
  endAgent,
  heddle,
  heddleOn,
  indent,
  quiet,
  record,
  type Stage,
  say,
  show,
  startAgent,
  title,
  until,
  untilReady,
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
  readonly kernel: string;
}

/** As fast as ping goes without flooding: a lost millisecond would be a lost packet. */
const PING = ["ping", "-n", "-q", "-i", "0.0001", "-c", "50000"];
/** So that packets flow before the agent is killed. */
const WARM_UP_MS = 300;
const HEAL_LIMIT_MS = 2000;
const OUR_ROUTES = ["ip", "route", "show", "proto", "104"];
const NETWORK = "10.5.0.0/16";
const REASONS: { readonly [backend: string]: string } = {
  vxlan: "a route to each peer, and where to send what is for its MAC address",
  udp: "one route for all, into the tunnel, which knows the peers",
};

export const act = { pingAll, healRoute, killAgent, leave, replay, timeTravel } as const;

function pingAll({ stage, containers, backend }: Acts): void {
  title(`Every container pings every other over ${backend}`);
  let pairs = 0;
  for (const from of containers) {
    for (const to of containers) {
      if (from === to || to.ipv4 === null) continue;
      const ran = quiet(from.netns, ["ping", "-n", "-c1", "-W2", to.ipv4]);
      const words = `${shortName(from)}$ ping ${to.ipv4}`;
      if (ran.code !== 0) throw new DemoFailure(`${words}: no answer`);
      say(`${words.padEnd(26)} ${ran.out.split("\n")[1]}`);
      pairs++;
    }
  }
  const host = hostOf(stage, 0);
  say(`\nWhat makes it so on h1: ${REASONS[backend] ?? "a route to each peer"}`);
  show(host.netns, OUR_ROUTES);
  if (backend === "vxlan") show(host.netns, ["bridge", "fdb", "show", "dev", "heddle.1"]);
  if (backend === "udp") heddleOn(stage, host, ["status"], ["--socket", host.socket]);
  record(stage, "container pairs that ping", `${pairs} of ${pairs}`);
}

async function healRoute({ stage, containers, backend }: Acts): Promise<void> {
  title("Somebody deletes a route; the host puts it back and says so in the log");
  const { name, netns } = hostOf(stage, 0);
  const subnet = backend === "udp" ? NETWORK : subnetBehind(containers[1]);
  show(netns, ["ip", "route", "del", subnet]);
  const present = (): boolean => quiet(netns, ["ip", "route", "show", subnet]).out !== "";
  const ms = await until(`${subnet} is back on ${name}`, HEAL_LIMIT_MS, present);
  show(netns, ["ip", "route", "show", subnet]);
  await until("the log has DriftHealed", 5000, () => events(stage, "DriftHealed") !== "");
  heddle(stage, ["events", "--type", "DriftHealed"]);
  record(stage, "a deleted route is back after", `${ms.toFixed(0)} ms`);
}

async function killAgent({ stage, containers, backend }: Acts): Promise<void> {
  title("An agent is killed with kill -9 while packets flow, and started again");
  const host = hostOf(stage, 0);
  const [from, to] = containers;
  if (from === undefined || to === undefined) throw new DemoFailure("no containers");
  say(`${shortName(from)}$ ${PING.join(" ")} ${to.ipv4} &`);
  const command = inside(from.netns, [...PING, to.ipv4 ?? ""]);
  const ping = Bun.spawn([...command], { stdin: "ignore", stdout: "pipe" });
  await Bun.sleep(WARM_UP_MS);
  await endAgent(stage, host.name, "SIGKILL");
  say(`${host.name}$ kill -9 $(pidof heddle)`);
  startAgent(stage, host);
  say(`${host.name}$ heddle agent &`);
  const ms = await untilReady(host, stage.fabric.hosts.length - 1);
  if (ping.exitCode !== null) throw new DemoFailure("the ping was over before the agent was back");
  const report = await new Response(ping.stdout).text();
  say(indent(report.split("\n").find((line) => line.includes("packets")) ?? report));
  const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(report) ?? [];
  const lost = Number(sent) - Number(received);
  // The udp backend's packets pass through the agent: those of its absence are lost.
  const bearable = backend === "udp" ? Number(sent) - 1 : 0;
  if (!(lost <= bearable)) throw new DemoFailure("packets were lost");
  record(stage, "packets lost while the agent was dead", `${lost} of ${sent}`);
  record(stage, "a killed agent is ready again after", `${ms.toFixed(0)} ms`);
}

async function leave({ stage, containers, backend }: Acts): Promise<Before> {
  title("A host leaves: what leads to it is withdrawn everywhere");
  const [first, second, third] = [hostOf(stage, 0), hostOf(stage, 1), hostOf(stage, 2)];
  const before = look(stage);
  const subnet = subnetBehind(containers[2]);
  const files = ["--socket", third.socket, "--subnet-file", third.subnetFile];
  const start = performance.now();
  heddleOn(stage, third, ["down"], [...files, "--nats", stage.fabric.nats, "--node", third.name]);
  await stage.agents.get(third.name)?.exited;
  stage.agents.delete(third.name);
  for (const host of [first, second]) {
    const gone = (): boolean => quiet(host.netns, ["ip", "route", "show", subnet]).out === "";
    if (backend === "udp") await untilReady(host, stage.fabric.hosts.length - 2);
    else await until(`${subnet} is gone from ${host.name}`, HEAL_LIMIT_MS, gone);
  }
  const ms = performance.now() - start;
  for (const host of [first, second]) {
    if (backend === "udp") heddleOn(stage, host, ["status"], ["--socket", host.socket]);
    else show(host.netns, OUR_ROUTES);
  }
  record(stage, "a host that leaves is withdrawn everywhere after", `${ms.toFixed(0)} ms`);
  return before;
}

function replay({ stage }: Acts, before: Before): void {
  title("The same history, replayed into an empty namespace, gives the same kernel");
  const host = hostOf(stage, 0);
  const netns = `${host.netns}-replay`;
  addNetns(netns);
  say("$ ip netns add museum");
  try {
    const args = ["replay", "--node", host.name, "--at", String(before.seq), "--netns", "museum"];
    heddle(stage, args, [["museum", netns]]);
    const replayed = kernelOf(netns);
    say(
      "\nRoutes, neighbours, forwarding entries and addresses there, as ip and bridge show them:",
    );
    say(indent(replayed));
    if (replayed !== before.kernel) {
      throw new DemoFailure(`the replayed kernel differs; the host had\n${before.kernel}`);
    }
    record(stage, "replayed kernel compared with the host's own", "identical");
  } finally {
    deleteNetns(netns);
  }
}

function timeTravel({ stage }: Acts, before: Before): void {
  title("The network as it was before that, what changed since, and all that ever happened");
  heddle(stage, ["state", "--at", before.time]);
  heddle(stage, ["diff", "--from", String(before.seq)]);
  heddle(stage, ["events"]);
  record(stage, "the past is shown as of", before.time);
}

function look(stage: Stage): Before {
  const args = ["state", "--json", "--nats", stage.fabric.nats];
  const state = quiet(stage.fabric.switch, [stage.program, ...args]);
  const { seq } = JSON.parse(state.out) as { seq: number };
  return { seq, time: new Date().toISOString(), kernel: kernelOf(hostOf(stage, 0).netns) };
}

/** What we make, as the kernel tells it to independent readers. */
function kernelOf(netns: string): string {
  const commands = [OUR_ROUTES, ["ip", "neigh", "show", "proto", "104"], ["bridge", "fdb", "show"]];
  const shown = commands.flatMap((command) => quiet(netns, command).out.split("\n").sort());
  const addresses = ["vxlan", "tun"].flatMap((type) =>
    quiet(netns, ["ip", "-br", "addr", "show", "type", type]).out.split("\n"),
  );
  const ofHost = /dev (eth0|ctr0|lo)|^33:33:|^01:00:5e:/;
  const ours = shown.filter((line) => line.includes("proto 104") || !ofHost.test(line));
  const routes = quiet(netns, OUR_ROUTES).out.split("\n");
  // Nobody reads a replayed tunnel, so its device has no carrier.
  const carrier = / linkdown$|(?<=^heddle0 )(UP|DOWN|UNKNOWN) /;
  const lines = [...routes, ...ours, ...addresses].map((line) =>
    line.replace(/\s+/g, " ").trim().replace(carrier, ""),
  );
  return [...new Set(lines)].filter((line) => line !== "").join("\n");
}

function events(stage: Stage, type: string): string {
  const args = ["events", "--type", type, "--nats", stage.fabric.nats];
  return quiet(stage.fabric.switch, [stage.program, ...args]).out;
}

function hostOf(stage: Stage, index: number): Stage["fabric"]["hosts"][number] {
  const host = stage.fabric.hosts[index];
  if (host === undefined) throw new DemoFailure(`there is no host ${index}`);
  return host;
}

/** "hd4711-c1" is c1. */
export function shortName({ netns }: Container): string {
  return netns.slice(netns.indexOf("-") + 1);
}

function subnetBehind(container: Container | undefined): string {
  return (container?.ipv4 ?? "").replace(/\.2$/, ".0/24");
}
