// Fifty agents, each a process in a network namespace of its own, start together on an empty log:
// the time from the first process start until every host has every peer in its kernel, and the
// distinct subnets. Runs the single-file binary when it has been built (`npm run build`), because
// that is what is installed on hosts. Reach: 2 s.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { agentCommand } from "../src/cli/dev-fabric.ts";
import { PROGRAM, TestFabric, until } from "../test/support/fabric.ts";
import { machine, quantile, table } from "./support.ts";

const AGENTS = 50;
const ROUNDS = Number(process.argv[2] ?? 5);
const built = join(import.meta.dir, "..", "dist", "heddle");
const program = existsSync(built) ? [built] : PROGRAM;

/** Hosts that were seen to be done; they are not asked again. */
const known = new Set<string>();
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
  try {
    await fabric.init({ Network: "10.5.0.0/16", Backend: { Type: "vxlan" } });
    const startMs = performance.now();
    for (const host of fabric.dev.hosts) {
      const command = [...agentCommand(fabric.dev, host, program)];
      agents.push(Bun.spawn(command, { stdio: ["ignore", "ignore", "ignore"] }));
    }
    // Asked rarely: fifty status requests cost the machine that is being measured.
    await until("every host has every peer", 60_000, async () => {
      await Bun.sleep(50);
      return (await Promise.all(fabric.dev.hosts.map(({ name }) => isDone(fabric, name)))).every(
        (done) => done,
      );
    });
    const tookMs = performance.now() - startMs;
    const subnets = fabric.heddle("leases", "--json").out;
    if (new Set((JSON.parse(subnets) as { node: string }[]).map((l) => l.node)).size !== AGENTS) {
      throw new Error("not every agent has a lease");
    }
    return tookMs;
  } finally {
    for (const agent of agents) {
      agent.kill("SIGKILL");
      await agent.exited;
    }
    await fabric.close();
  }
}

async function isDone(fabric: TestFabric, name: string): Promise<boolean> {
  const key = `${fabric.dir} ${name}`;
  if (known.has(key)) return true;
  const status = await fabric.status(name);
  const applied = status?.peers.filter((peer) => peer.state === "applied").length;
  const done = status?.state === "ready" && applied === AGENTS - 1;
  if (done) known.add(key);
  return done;
}
