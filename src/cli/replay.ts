// heddle replay: rebuilds a host's kernel state, as the log had it at some point, in an empty
// network namespace. The host's underlay device does not exist there; a veth pair that leads
// nowhere stands in for it, with its name, MTU and addresses, so that everything of ours comes
// out exactly as on the host. The agent's own code programs and verifies it.

import { existsSync } from "node:fs";
import { contains, hostPrefix, type Ip, networkAddress, prefixOf } from "../events/address.ts";
import type { Member } from "../events/event.ts";
import type { Point } from "../events/point.ts";
import { describe } from "../reconcilers/describe.ts";
import { diff } from "../reconcilers/diff.ts";
import type { Kernel, Scope } from "../reconcilers/kernel.ts";
import { emptyKernelState } from "../reconcilers/kernel-state.ts";
import type { Plan } from "../reconcilers/plan.ts";
import type { Deps } from "./deps.ts";
import { everythingOf } from "./down.ts";
import { EXIT_FAILED, EXIT_OK, Failure, misuse } from "./failure.ts";
import type { LogFlags, NodeFlag } from "./flags.ts";
import { noteProblems, planFor, stateAt } from "./plan.ts";
import { requireNetAdmin } from "./privilege.ts";

interface ReplayFlags extends LogFlags, NodeFlag {
  readonly at?: Point;
  readonly netns: string;
}

/** The other end of the stand-in, in the same namespace: a veth without one has no carrier. */
const FAR_END = "hd-far-end";

export async function replay(deps: Deps, flags: ReplayFlags): Promise<number> {
  const path = namespacePath(flags.netns);
  requireNetAdmin(deps);
  const node = flags.node ?? deps.hostName;
  const state = await stateAt(deps, flags, flags.at, node);
  const plan = planFor(state, node);
  const member = state.nodes.get(node);
  const { kernel, close } = await deps.openKernel(path);
  try {
    await refuseUsed(kernel, plan, flags.netns);
    if (member !== undefined) await standInUnderlay(kernel, flags.netns, member);
    noteProblems(deps, plan);
    const failed = await program(deps, kernel, plan);
    const left = await differences(kernel, plan);
    for (const command of left) deps.out.note(`heddle: still differs: ${command}`);
    const outcome = failed || left.length > 0 ? "incomplete" : "verified";
    const where = `${node} at sequence ${state.seq} in ${flags.netns}`;
    deps.out.note(`${where}: ${countOf(plan)} objects, ${outcome}`);
    return outcome === "verified" ? EXIT_OK : EXIT_FAILED;
  } finally {
    close();
  }
}

function namespacePath(name: string): string {
  if (!/^[^/\s]{1,255}$/.test(name) || name === "." || name === "..") {
    throw misuse(`--netns ${JSON.stringify(name)}`, "expected a name as `ip netns` shows it");
  }
  const path = `/run/netns/${name}`;
  if (existsSync(path)) return path;
  throw misuse(`--netns ${name}`, `no such namespace: make it with \`ip netns add ${name}\``);
}

/** Somebody's working network must not be overwritten by history. */
async function refuseUsed(kernel: Kernel, plan: Plan, netns: string): Promise<void> {
  const { devices } = await kernel.facts();
  const device = devices.find(({ alias }) => alias?.startsWith("heddle ") === true);
  const scope: Scope = await everythingOf(plan.fabric, kernel);
  const have = await kernel.observe(scope);
  const [op] = diff(emptyKernelState(), have, { fabric: plan.fabric, prune: true });
  const found = device?.name ?? (op === undefined ? null : `${op.noun} ${op.key}`);
  if (found !== null) throw misuse(`--netns ${netns}`, `is not empty: it holds ${found}`);
}

/** A device of that name that is there already is taken as it is. */
async function standInUnderlay(kernel: Kernel, netns: string, member: Member): Promise<void> {
  const { dev, mtu, local, localv6, onlink } = member.underlay;
  const { devices } = await kernel.facts();
  if (devices.some(({ name }) => name === dev)) return;
  // It comes from the log, where a host may call its device anything, and `ip -batch` splits lines.
  if (/\s/.test(dev)) {
    throw new Failure(EXIT_FAILED, `there is no stand-in for a device ${JSON.stringify(dev)}`);
  }
  const lines = [
    `link add ${dev} mtu ${mtu} type veth peer name ${FAR_END} mtu ${mtu}`,
    `link set ${FAR_END} up`,
    `link set ${dev} up`,
  ];
  const covered = new Set<string>();
  for (const ip of [local, localv6]) {
    if (ip === null) continue;
    const prefix = onlink.find((item) => contains(prefixOf(item), prefixOf(hostPrefix(ip))));
    if (prefix !== undefined) covered.add(prefix);
    lines.push(`addr add ${withLength(ip, prefix)} dev ${dev}${ip.includes(":") ? " nodad" : ""}`);
  }
  for (const prefix of onlink) {
    if (!covered.has(prefix)) lines.push(`route replace ${prefix} dev ${dev}`);
  }
  await ipBatch(netns, lines);
}

function withLength(ip: Ip, prefix: string | undefined): string {
  if (prefix === undefined) return hostPrefix(ip);
  return `${ip}${prefix.slice(networkAddress(prefix).length)}`;
}

async function ipBatch(netns: string, lines: readonly string[]): Promise<void> {
  if (Bun.which("ip") === null) {
    throw new Failure(EXIT_FAILED, "ip is not installed: install iproute2");
  }
  const child = Bun.spawn(["ip", "-n", netns, "-batch", "-"], {
    stdin: new TextEncoder().encode(`${lines.join("\n")}\n`),
    stdout: "ignore",
    stderr: "pipe",
  });
  const [said, code] = await Promise.all([new Response(child.stderr).text(), child.exited]);
  if (code === 0) return;
  const reason = said.trim().split("\n").slice(0, 1).join("");
  throw new Failure(EXIT_FAILED, `the underlay cannot be made in ${netns}: ${reason}`);
}

/** True when something could not be programmed. */
async function program(deps: Deps, kernel: Kernel, plan: Plan): Promise<boolean> {
  const have = await kernel.observe(plan.scope);
  const ops = diff(plan.kernel, have, { fabric: plan.fabric, prune: false });
  const outcomes = await kernel.apply(ops);
  let failed = false;
  ops.forEach((op, i) => {
    const outcome = outcomes[i];
    deps.out.line(describe(op));
    if (outcome?.ok !== false) return;
    failed = true;
    deps.out.note(`heddle: ${op.noun} ${op.key}: ${outcome.message}`);
  });
  return failed;
}

async function differences(kernel: Kernel, plan: Plan): Promise<readonly string[]> {
  const have = await kernel.observe(plan.scope);
  return diff(plan.kernel, have, { fabric: plan.fabric, prune: true }).map(describe);
}

function countOf({ kernel }: Plan): number {
  return Object.values(kernel).reduce((sum, map) => sum + map.size, 0);
}
