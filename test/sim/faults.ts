// What can go wrong, and who draws it: swarm testing. Each seed switches every class of fault on or
// off by a coin, because a fault that is always there hides what only shows in its absence. Every
// action is a value with a class, so that a new one is one entry in one of the tables.

import { hostFaults } from "./faults-host.ts";
import { kernelFaults } from "./faults-kernel.ts";
import { logFaults } from "./faults-log.ts";
import { operatorFaults } from "./faults-operator.ts";
import type { Prng } from "./prng.ts";
import { trafficFaults } from "./traffic.ts";
import type { World } from "./world.ts";

export interface Fault {
  readonly name: string;
  /** Does it, now, to whom and how much the generator says; returns what it did in words. */
  readonly strike: (world: World, random: Prng) => string | null;
}

export type FaultTable = { readonly [name: string]: Fault["strike"] };

const TABLES: readonly FaultTable[] = [
  logFaults,
  hostFaults,
  kernelFaults,
  operatorFaults,
  trafficFaults,
];

const FAULTS: readonly Fault[] = TABLES.flatMap((table) =>
  Object.entries(table).map(([name, strike]) => ({ name, strike })),
);

/** The faults of a seed. Each has a coin of its own: a new one changes no seed that lacks it. */
export function swarm(random: Prng): readonly Fault[] {
  const share = random.pick([0.15, 0.3, 0.5, 0.7]);
  return FAULTS.filter(({ name }) => random.fork(name).chance(share));
}

/** Lets `count` of them strike, with the world running between. */
export async function strikeAll(
  world: World,
  faults: readonly Fault[],
  count: number,
): Promise<void> {
  const random = world.random.fork("faults");
  const pauseMsMax = random.pick([60, 400, 1500, 5000]);
  for (let i = 0; i < count; i++) {
    await world.run(random.int(1, pauseMsMax));
    const fault = random.oneOf(faults);
    if (fault === null) continue;
    const what = fault.strike(world, random);
    if (what !== null) world.trace.say("fault", `${fault.name}: ${what}`);
  }
}
