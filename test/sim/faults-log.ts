// Trouble with the log: slow, lossy, cut off, forgetful, and gone.

import type { MemoryCopy, MemoryFaults } from "../support/log-memory.ts";
import type { FaultTable } from "./faults.ts";
import type { Prng } from "./prng.ts";
import type { World } from "./world.ts";

/** Rates and what lasts a while, by world, because faults of several kinds add up. */
interface Trouble {
  rates: MemoryFaults;
  copies: MemoryCopy[];
  /** The stream is gone, and this was in it. */
  removed: MemoryCopy | null;
}

const troubles = new WeakMap<World, Trouble>();

function troubleOf(world: World): Trouble {
  const known = troubles.get(world);
  if (known !== undefined) return known;
  const fresh: Trouble = { rates: { delayMsMax: 5 }, copies: [], removed: null };
  troubles.set(world, fresh);
  return fresh;
}

function setRates(world: World, rates: MemoryFaults): string {
  const trouble = troubleOf(world);
  trouble.rates = { ...trouble.rates, ...rates };
  world.log.setFaults(trouble.rates);
  return JSON.stringify(rates);
}

function cut(world: World, nodes: readonly string[], ms: number): string {
  const hosts = world.hosts.filter(({ node }) => nodes.includes(node));
  for (const host of hosts) host.client.partition(true);
  world.clock.after(ms, () => {
    for (const host of hosts) host.client.partition(false);
  });
  return `${nodes.join(" ")} cut off for ${ms} ms`;
}

/** Mostly short, now and then longer than a lease lasts. */
function outageMs(world: World, random: Prng): number {
  return random.chance(0.2) ? random.int(1000, world.ttlSeconds * 2000) : random.int(50, 4000);
}

export const logFaults: FaultTable = {
  delay: (world, random) => setRates(world, { delayMsMax: random.pick([1, 10, 60, 400]) }),
  duplicates(world, random) {
    if (random.chance(0.3)) world.log.forgetIds();
    return setRates(world, { appendTwice: random.pick([0, 0.1, 0.5]) });
  },
  ambiguous: (world, random) =>
    setRates(world, {
      ackLost: random.pick([0, 0.1, 0.4]),
      unresolved: random.pick([0, 0.1, 0.4]),
    }),
  lateAppend(world, random) {
    const rate = random.pick([0, 0.1, 0.5]);
    for (const host of world.hosts) host.lineFaults.lateAppend = rate;
    return `${rate}`;
  },
  readers(world, random) {
    world.log.breakReaders();
    return setRates(world, { readerFails: random.pick([0, 0.05, 0.3]) });
  },
  slowCatchUp(world, random) {
    const rate = random.pick([0, 0.3, 1]);
    for (const host of world.hosts) host.lineFaults.slowCatchUp = rate;
    return `${rate}`;
  },
  partition(world, random) {
    const node = random.oneOf(world.hosts)?.node ?? "";
    return cut(world, [node], outageMs(world, random));
  },
  outage(world, random) {
    world.log.breakReaders();
    if (random.chance(0.3)) world.log.forgetIds();
    return cut(
      world,
      world.hosts.map(({ node }) => node),
      outageMs(world, random),
    );
  },
  tailLoss(world, random) {
    const count = random.int(1, 4);
    world.log.loseTail(count);
    return `${count} records`;
  },
  gone(world, random) {
    const trouble = troubleOf(world);
    if (trouble.removed !== null) return null;
    trouble.removed = world.log.copy();
    world.log.remove();
    const ms = random.int(100, 6000);
    world.clock.after(ms, () => restore(world));
    return `for ${ms} ms`;
  },
  recreated(world, random) {
    if (troubleOf(world).removed !== null || random.chance(0.5)) return null;
    world.log.recreate();
    return world.log.truth.created;
  },
  rewound(world, random) {
    const trouble = troubleOf(world);
    if (trouble.removed !== null) return null;
    const copy = random.chance(0.5) ? random.oneOf(trouble.copies) : null;
    if (copy === null) {
      trouble.copies.push(world.log.copy());
      return "a copy is made";
    }
    world.log.rewind(copy);
    return `to #${copy.records.length} of ${copy.created}`;
  },
};

function restore(world: World): void {
  const trouble = troubleOf(world);
  if (trouble.removed === null) return;
  world.log.rewind(trouble.removed);
  trouble.removed = null;
}

/** The server and the lines to it are well again. */
export function healLog(world: World): void {
  restore(world);
  troubleOf(world).rates = {};
  world.log.setFaults({ delayMsMax: 5 });
  for (const { client, lineFaults } of world.hosts) {
    client.partition(false);
    lineFaults.lateAppend = 0;
    lineFaults.slowCatchUp = 0;
  }
}
