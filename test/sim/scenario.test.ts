// Stories that random faults meet too seldom, told on purpose in the same world and under the same
// checks.

import { expect, test } from "bun:test";
import { desired } from "../../src/reconcilers/desired.ts";
import { configure } from "./faults-operator.ts";
import type { Host } from "./host.ts";
import { converge } from "./liveness.ts";
import { World } from "./world.ts";

async function fabric(seed: number): Promise<World> {
  const world = new World({ seed });
  configure(world, world.random);
  for (const host of world.hosts) host.start();
  await world.run(20_000);
  return world;
}

function cut(world: World, on: boolean): void {
  for (const { client } of world.hosts) client.partition(on);
}

function end(world: World): void {
  for (const host of world.hosts) {
    host.wanted = false;
    host.process?.kill();
  }
}

function routesOf(host: Host): string[] {
  return [...host.state.routes.keys()].sort();
}

test("agents restarted while the log is away build all anew from their snapshots", async () => {
  const world = await fabric(11);
  const before = world.hosts.map(routesOf);
  cut(world, true);
  for (const host of world.hosts) {
    host.process?.kill();
    for (const name of desired(world.oracle.state, host.node).kernel.links.keys()) {
      host.kernel.remove("link", name);
    }
  }
  await world.run(20_000);
  expect(world.hosts.map(routesOf)).toEqual(before);
  expect(world.hosts.map(({ process }) => process?.agent?.status().log)).toEqual(
    world.hosts.map(() => expect.objectContaining({ connected: false, frozen: null })),
  );
  await converge(world);
  end(world);
});

test("hosts that reboot while the log is away come up from their snapshots too", async () => {
  const world = await fabric(11);
  const before = world.hosts.map(routesOf);
  cut(world, true);
  for (const host of world.hosts) host.reboot();
  await world.run(20_000);
  expect(world.hosts.map(routesOf)).toEqual(before);
  await converge(world);
  end(world);
});

test("a host cut off for longer than its lease learns so and takes another subnet", async () => {
  const world = await fabric(11);
  const [first] = world.hosts;
  const subnet = first && world.oracle.state.leases.get(first.node)?.subnets[0];
  if (first === undefined || subnet === undefined) throw new Error("no lease");
  const routes = routesOf(first);
  first.client.partition(true);
  await world.run(world.ttlSeconds * 2000);
  expect(world.oracle.state.leases.has(first.node)).toBe(false);
  expect(routesOf(first)).toEqual(routes);
  world.command({ type: "Reserve", subnet, node: null, note: "taken meanwhile" });
  await converge(world);
  expect(world.oracle.state.leases.get(first.node)?.subnets).not.toContain(subnet);
  end(world);
});

test("a log that is gone and comes back as it was needs no operator", async () => {
  const world = await fabric(12);
  const copy = world.log.copy();
  world.log.remove();
  await world.run(30_000);
  const frozen = () => world.hosts.map(({ process }) => process?.agent?.status().log.frozen);
  expect(frozen()).toEqual(world.hosts.map(() => "the stream is gone"));
  world.log.rewind(copy);
  await world.run(10_000);
  expect(frozen()).toEqual(world.hosts.map(() => null));
  await converge(world);
  end(world);
});
