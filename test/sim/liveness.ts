// After the faults: within a bounded time every host has what it can have, its kernel is exactly
// what the log wants, nobody has anything left to do, and all agree.

import { allocate } from "../../src/events/allocate.ts";
import { onDemand } from "../../src/events/fold-miss.ts";
import { underlayFamilies } from "../../src/events/network-config.ts";
import { desired } from "../../src/reconcilers/desired.ts";
import type { Noun } from "../../src/reconcilers/kernel-state.ts";
import type { NounRules } from "../../src/reconcilers/noun.ts";
import { mapOf, nouns } from "../../src/reconcilers/nouns.ts";
import type { NounTypes } from "../../src/reconcilers/op.ts";
import { tableOf } from "../support/apply-ops.ts";
import { healHosts } from "./faults-host.ts";
import { healKernels } from "./faults-kernel.ts";
import { healLog } from "./faults-log.ts";
import { CONFIGS } from "./faults-operator.ts";
import type { Host } from "./host.ts";
import { LATE_MS_MAX } from "./log-port.ts";
import { IDLE_MS } from "./process.ts";
import { expectDelivery } from "./traffic.ts";
import { Violation, type World } from "./world.ts";

const LOOK_MS = 250;
const BOUND_MS = 120_000;
/** Longer than the slow pass of the loop. */
const QUIET_MS = 20_000;

export async function converge(world: World): Promise<void> {
  world.trace.say("world", "the faults end");
  world.calm = true;
  healLog(world);
  healKernels(world);
  healHosts(world);
  // What was said before the end and is still on its way.
  await world.run(LATE_MS_MAX);
  const untilMs = world.clock.nowMs() + BOUND_MS + world.ttlSeconds * 2000;
  await comeToRest(world, untilMs);
  world.trace.say("world", "at rest");
  await expectDelivery(world);
  // What was sent to ages, and the log says so.
  if (onDemand(world.oracle.state.config) !== null) await world.run(IDLE_MS * 2);
  await comeToRest(world, untilMs + IDLE_MS * 3);
  await expectQuiet(world);
}

async function comeToRest(world: World, untilMs: number): Promise<void> {
  let why: string | null = "not looked";
  while (why !== null) {
    if (world.clock.nowMs() > untilMs) throw new Violation("all comes to rest", why);
    await world.run(LOOK_MS);
    operate(world);
    why = unrest(world);
  }
}

/** What the operator does who finds hosts frozen on a log not theirs, no configuration, or a peer
 * under the address of a host. */
function operate(world: World): void {
  if (world.oracle.state.config === null) {
    world.command({ type: "Configure", document: CONFIGS[0] });
  }
  for (const { name, publicIp } of world.oracle.state.peers.values()) {
    const rightful = world.hosts.some(({ underlay }) => underlay.ipv4 === publicIp);
    if (rightful) world.command({ type: "RemovePeer", name });
  }
  for (const { process, node } of world.hosts) {
    if (!process?.agent || process.agent.status().log.frozen === null) continue;
    const { seq } = process.lineage;
    // On the log that it knows, a host goes on by itself.
    if (process.lineage.chainAt(seq) === world.oracle.chainAt(seq) && seq > 0) continue;
    if (!process.agent.acceptLog()) continue;
    process.lineage.forget();
    world.trace.say(node, "told to accept the log");
  }
}

/** Why it is not all as it should be, or null. */
function unrest(world: World): string | null {
  for (const host of world.hosts) {
    const why = unrestOf(host, world);
    if (why !== null) return `${host.node}: ${why}`;
  }
  return null;
}

function unrestOf(host: Host, world: World): string | null {
  const { state } = world.oracle;
  const agent = host.process?.agent ?? null;
  if (state.config === null) return "the fabric has no configuration";
  if (agent === null) return `no agent runs; the last ended because ${host.lastEnd}`;
  const status = agent.status();
  const seq = agent.state().seq;
  if (seq !== state.seq) return `at #${seq} of ${state.seq}, ${status.problems.join("; ")}`;
  if (host.process?.lineage.chainAt(seq) !== world.oracle.chainAt(seq)) return "on another log";
  if (!state.leases.has(host.node)) {
    return allocate(state, host.node).ok ? `no lease: ${status.problems.join("; ")}` : null;
  }
  const stale = staleFacts(host, world);
  if (stale !== null) return stale;
  // With what the host says in the log that it holds on demand.
  const plan = desired(agent.state(), host.node);
  const known = new Set([
    ...plan.problems,
    ...plan.peers.map(({ node, error }) => `peer ${node}: ${error}`),
  ]);
  const problems = status.problems.filter((problem) => !known.has(problem));
  if (problems.length > 0) return problems.join("; ");
  if (status.state !== "ready" && status.state !== "degraded") return `says ${status.state}`;
  if (status.seq.applied !== seq) return `applied #${status.seq.applied} of #${seq}`;
  if (host.files.subnetEnv !== plan.subnetEnv) return "subnet.env differs";
  return difference(host, plan.kernel);
}

/** What the log says of a host's underlay and is no longer so, or null. */
function staleFacts(host: Host, { oracle }: World): string | null {
  const { config, nodes } = oracle.state;
  const node = nodes.get(host.node);
  const { ipv4, ipv6, mtu } = host.underlay;
  if (node?.underlay.mtu !== mtu) return `underlay MTU ${node?.underlay.mtu}, not ${mtu}`;
  for (const family of config === null ? [] : underlayFamilies(config)) {
    const [said, is] = family === "ipv4" ? [node.publicIp, ipv4] : [node.publicIpv6, ipv6];
    if (said !== is) return `announced ${said}, not ${is}`;
  }
  return null;
}

/** What in the kernel is not as wanted, or ours and not wanted. Sysctls are never taken back. */
function difference(host: Host, want: ReturnType<typeof desired>["kernel"]): string | null {
  for (const noun of Object.keys(mapOf) as Noun[]) {
    const { same } = nouns[noun] as NounRules<NounTypes[Noun]>;
    const found = tableOf(host.state, noun);
    const wanted = tableOf(want, noun);
    for (const [key, object] of wanted) {
      const there = found.get(key);
      if (there === undefined) return `${noun} ${key} is missing`;
      if (!same(object, there)) return `${noun} ${key} is ${JSON.stringify(there)}`;
    }
    if (noun === "sysctl") continue;
    for (const key of found.keys()) {
      if (!wanted.has(key) && !host.foreign.has(noun, key)) return `${noun} ${key} is left over`;
    }
  }
  return null;
}

async function expectQuiet(world: World): Promise<void> {
  const before = world.hosts.map(({ ops }) => ops);
  await world.run(QUIET_MS);
  world.hosts.forEach(({ ops, node }, i) => {
    if (ops === before[i]) return;
    throw new Violation("at rest nothing is done", `${node} did ${ops - (before[i] ?? 0)} ops`);
  });
  await world.run(LOOK_MS * 4, () => unrest(world) === null);
  const why = unrest(world);
  if (why !== null) throw new Violation("what is at rest stays so", why);
}
