// Fifty hosts that start at once on an empty log: every one gets a subnet of its own, also when
// there are exactly fifty; one more is told so and gets the first that is released.

import { expect, test } from "bun:test";
import { type TestFabric, until, withFabric } from "../support/fabric.ts";
import { requireRoot } from "../support/netns.ts";

const canRun = requireRoot("fifty hosts");
const COUNT = 50;
const HOSTS = Array.from({ length: COUNT }, (_, i) => `h${i + 1}`);
/** Fifty processes on two cores need some 10 s; the target with more cores is in bench/. */
const LIMIT_MS = 60_000;
const ROOMY = { Network: "10.5.0.0/16" };
const TIGHT = { Network: "10.6.0.0/16", SubnetMin: "10.6.1.0", SubnetMax: `10.6.${COUNT}.0` };

test.skipIf(!canRun)(
  "fifty agents that start together on an empty log get fifty subnets without a restart",
  () =>
    withFabric({ hosts: COUNT }, async (fabric) => {
      await fabric.init(ROOMY);
      await startAll(fabric);
    }),
);

test.skipIf(!canRun)(
  "fifty agents share a pool of exactly fifty, and one more gets the first subnet released",
  () =>
    withFabric({ hosts: COUNT + 1 }, async (fabric) => {
      await fabric.init(TIGHT);
      const subnets = await startAll(fabric);
      expect([...subnets].sort()).toEqual(HOSTS.map((_, i) => `10.6.${i + 1}.0/24`).sort());
      await oneMore(fabric);
    }),
);

async function startAll(fabric: TestFabric): Promise<ReadonlySet<string>> {
  const startMs = performance.now();
  const agents = HOSTS.map((name) => fabric.start(name));
  // One after the other: fifty hosts that are asked all the time would have no time to work.
  for (const name of HOSTS) await fabric.ready([name], COUNT - 1, LIMIT_MS);
  const tookMs = Math.round(performance.now() - startMs);
  process.stderr.write(`${COUNT} agents converged ${tookMs} ms after the first start\n`);

  expect(agents.filter((agent) => agent.exitCode !== null)).toEqual([]);
  const events = fabric.events().filter(({ verdict }) => verdict.kind === "accepted");
  const joins = events.filter(({ type }) => type === "NodeJoined");
  expect(joins).toHaveLength(COUNT);
  const claims = events.filter(({ type }) => type === "LeaseClaimed");
  expect(claims).toHaveLength(COUNT);
  const subnets = new Set(claims.flatMap(({ data }) => data?.subnets as string[]));
  expect(subnets.size).toBe(COUNT);
  for (const name of ["h1", "h25", "h50"]) {
    const status = await fabric.status(name);
    const own = status?.lease?.subnets[0] ?? "";
    const routes = fabric.ip(name, "-4 route show proto 104").map(({ dst }) => String(dst));
    expect([...routes, own].sort()).toEqual([...subnets].sort());
  }
  return subnets;
}

async function oneMore(fabric: TestFabric): Promise<void> {
  const late = `h${COUNT + 1}`;
  const exhausted = `pool exhausted: all ${COUNT} subnets of 10.6.0.0/16 are taken`;
  fabric.start(late);
  await until("told that the pool is exhausted", LIMIT_MS, async () => {
    const status = await fabric.status(late);
    return status?.state === "degraded" && status.problems.includes(exhausted);
  });
  await until("logged", 5000, () => fabric.logs(late).includes(exhausted));
  expect(fabric.ip(late, "-4 route show proto 104")).toEqual([]);

  const released = (await fabric.status("h7"))?.lease?.subnets ?? [];
  expect(released).toHaveLength(1);
  const gone = fabric.down("h7");
  expect(gone.err).toBe("");
  expect(gone.code).toBe(0);
  await fabric.ready([late], COUNT - 1, LIMIT_MS);
  expect((await fabric.status(late))?.lease?.subnets).toEqual(released);
  expect(fabric.logs(late).match(/ready/g)).toHaveLength(1);
  const others = HOSTS.filter((name) => name !== "h7");
  for (const name of others) await fabric.ready([name], COUNT - 1, LIMIT_MS);
}
