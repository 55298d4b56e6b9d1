// Fifty agents, each a process in a network namespace of its own, start together on an empty log:
// the time from the first process start until every host has every peer in its kernel, and the
// distinct subnets; and what CPU time that took of each agent, which other work on the machine
// moves less. Runs the single-file binary when it has been built (`npm run build`), because
// that is what is installed on hosts. Reach: 2 s.
//
// With several programs (`bun bench/fifty.ts ROUNDS PROGRAM...`) every fabric is mixed of them,
// host by host and shifted from round to round: what else the machine does meets all of them
// alike, and a difference of 2 ms of CPU shows where runs in turns are 10 ms apart.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { agentCommand } from "../src/cli/dev-fabric.ts";
import { NetlinkKernel } from "../src/reconcilers/kernel-netlink.ts";
import { PROGRAM, TestFabric, until } from "../test/support/fabric.ts";
import { machine, quantile, table } from "./support.ts";

const AGENTS = 50;
const ROUNDS = Number(process.argv[2] ?? 5);
const built = join(import.meta.dir, "..", "dist", "heddle");
const usual = existsSync(built) ? [built] : PROGRAM;
const named = process.argv.slice(3).map((path) => [path]);
const programs: readonly (readonly string[])[] = named.length > 0 ? named : [usual];

const times: number[] = [];
/** By program and round: the mean of its hosts. */
const cpuMs: number[][] = programs.map(() => []);
for (let round = 0; round < ROUNDS; round++) {
  const done = await converge(round);
  times.push(done.tookMs);
  for (const [i, ms] of done.cpuMs.entries()) cpuMs[i]?.push(ms);
}
machine();
table(
  [
    "measure",
    "program",
    "runs",
    "p50 ms",
    "worst ms",
    "CPU per agent, p50",
    "against the first",
    "reach",
  ],
  programs.map((program, i) => [
    `${AGENTS} agents, first start to every host having every peer`,
    program === PROGRAM ? "bin/heddle" : relative(join(import.meta.dir, ".."), program.join(" ")),
    ROUNDS,
    quantile(times, 0.5),
    Math.max(...times),
    `${quantile(cpuMs[i] ?? [], 0.5).toFixed(0)} ms`,
    i === 0 ? "" : `${meanDifference(cpuMs[i] ?? [], cpuMs[0] ?? []).toFixed(1)} ms`,
    "2000",
  ]),
);

function meanDifference(some: readonly number[], others: readonly number[]): number {
  const sum = some.reduce((total, ms, round) => total + ms - (others[round] ?? ms), 0);
  return sum / some.length;
}

async function converge(round: number): Promise<{ tookMs: number; cpuMs: readonly number[] }> {
  const fabric = await TestFabric.create({ hosts: AGENTS });
  const agents: { readonly child: Bun.Subprocess; readonly program: readonly string[] }[] = [];
  const kernels = fabric.dev.hosts.map(({ netns }) => openKernel(netns));
  try {
    await fabric.init({ Network: "10.5.0.0/16", Backend: { Type: "vxlan" } });
    const startMs = performance.now();
    for (const [n, host] of fabric.dev.hosts.entries()) {
      const program = programs[(n + round) % programs.length] ?? usual;
      const command = [...agentCommand(fabric.dev, host, program)];
      const child = Bun.spawn(command, { stdio: ["ignore", "ignore", "ignore"] });
      agents.push({ child, program });
    }
    await until("every host has every peer", 60_000, () => everyPeerEverywhere(kernels));
    const tookMs = performance.now() - startMs;
    const cpuMs = programs.map((program) => {
      const own = agents.filter((agent) => agent.program === program);
      return own.reduce((sum, { child }) => sum + cpuMsOf(child.pid), 0) / own.length;
    });
    for (const { name } of fabric.dev.hosts) {
      const routes = fabric.ip(name, "route show proto 104").length;
      if (routes !== AGENTS - 1) throw new Error(`${name} has ${routes} routes`);
    }
    return { tookMs, cpuMs };
  } finally {
    for (const kernel of kernels) kernel.close();
    for (const { child } of agents) {
      child.kill("SIGKILL");
      await child.exited;
    }
    await fabric.close();
  }
}

/** Of all threads; the first number of schedstat is nanoseconds on a CPU. */
function cpuMsOf(pid: number): number {
  const tasks = `/proc/${pid}/task`;
  const spent = readdirSync(tasks).map((task) => {
    const text = readFileSync(join(tasks, task, "schedstat"), "utf8");
    return Number(text.split(" ")[0]) / 1e6;
  });
  return spent.reduce((sum, ms) => sum + ms, 0);
}

function openKernel(netns: string): NetlinkKernel {
  return new NetlinkKernel({ netns: `/run/netns/${netns}` });
}

/**
 * Counts routes over netlink, ten times a second: asking the agents, or starting `ip` fifty times,
 * would cost the machine that is being measured more than what is measured.
 */
async function everyPeerEverywhere(kernels: readonly NetlinkKernel[]): Promise<boolean> {
  await Bun.sleep(100);
  for (const kernel of kernels) {
    const { routes } = await kernel.observe({ links: [], routeDevs: [], sysctls: [], rules: [] });
    if (routes.size !== AGENTS - 1) return false;
  }
  return true;
}
