// Fifty agents, each a process in a network namespace of its own, start together on an empty log:
// the time from the first process start until every host has every peer in its kernel, and the
// distinct subnets. Runs the single-file binary when it has been built (`npm run build`), because
// that is what is installed on hosts. Reach: 2 s.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { agentCommand } from "../src/cli/dev-fabric.ts";
import { NetlinkKernel } from "../src/reconcilers/kernel-netlink.ts";
import { PROGRAM, TestFabric, until } from "../test/support/fabric.ts";
import { machine, quantile, table } from "./support.ts";

const AGENTS = 50;
const ROUNDS = Number(process.argv[2] ?? 5);
const built = join(import.meta.dir, "..", "dist", "heddle");
const program = existsSync(built) ? [built] : PROGRAM;

const times: number[] = [];
for (let round = 0; round < ROUNDS; round++) times.push(await converge());
machine();
table(
  ["measure", "program", "runs", "p50 ms", "worst ms", "reach"],
  [
    [
      `${AGENTS} agents, first start to every host having every peer`,
      program === PROGRAM ? "bin/heddle" : "dist/heddle",
      ROUNDS,
      quantile(times, 0.5),
      Math.max(...times),
      "2000",
    ],
  ],
);

async function converge(): Promise<number> {
  const fabric = await TestFabric.create({ hosts: AGENTS });
  const agents: Bun.Subprocess[] = [];
  const kernels = fabric.dev.hosts.map(({ netns }) => openKernel(netns));
  try {
    await fabric.init({ Network: "10.5.0.0/16", Backend: { Type: "vxlan" } });
    const startMs = performance.now();
    for (const host of fabric.dev.hosts) {
      const command = [...agentCommand(fabric.dev, host, program)];
      agents.push(Bun.spawn(command, { stdio: ["ignore", "ignore", "ignore"] }));
    }
    await until("every host has every peer", 60_000, () => everyPeerEverywhere(kernels));
    const tookMs = performance.now() - startMs;
    for (const { name } of fabric.dev.hosts) {
      const routes = fabric.ip(name, "route show proto 104").length;
      if (routes !== AGENTS - 1) throw new Error(`${name} has ${routes} routes`);
    }
    return tookMs;
  } finally {
    for (const kernel of kernels) kernel.close();
    for (const agent of agents) {
      agent.kill("SIGKILL");
      await agent.exited;
    }
    await fabric.close();
  }
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
