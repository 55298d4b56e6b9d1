// The model and the real kernel side by side: the same random ops and foreign changes must give the
// same outcomes and the same state after every step.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { ANY_MAC } from "../../src/reconcilers/kernel-state.ts";
import type { Op } from "../../src/reconcilers/op.ts";
import { modelKernel, realKernel } from "../support/kernel-hosts.ts";
import { dev, fdb, link, link6, neigh, route, scope, set } from "../support/kernel-objects.ts";
import type { KernelUnderTest } from "../support/kernel-under-test.ts";
import { requireRoot } from "../support/netns.ts";

const RUNS = Number(process.env.HEDDLE_RUNS ?? 25);

/** A step is an op, or something done behind our back. */
type Step = { readonly op: Op } | { readonly up: boolean } | { readonly delLink: true };

const macs = fc.constantFrom("02:00:00:00:01:01", "02:00:00:00:01:02", ANY_MAC);
const targets = fc.constantFrom("10.5.2.0", "10.5.9.7", "fd00:5:2::", "2001:db8::7");
const gateways = fc.constantFrom("10.5.2.0", "10.5.1.0", "10.5.9.7", "198.18.0.9");
const gateways6 = fc.constantFrom("fd00:5:2::", "fd00:5:1::", "2001:db8::7", "fd00:5:1::9");
const remotes = fc.constantFrom("198.18.0.2", "198.18.0.3", "2001:db8::2");
const addresses = fc.constantFrom("10.5.1.0/32", "10.5.9.0/24", "fd00:5:1::/128", "fd00:5:1::/64");
const links = [
  ...[link, { ...link, mtu: 1300 }, { ...link, vni: 9 }, { ...link, up: false }, link6],
  ...[
    { ...link, learning: true },
    { ...link, group: "239.1.1.1" },
  ],
];
const devs = fc.constantFrom(dev, "eth0");

const ops: fc.Arbitrary<Op> = fc.oneof(
  fc.constantFrom(...links).map((object) => set("link", object)),
  addresses.map((address) => set("addr", { dev, address })),
  fc.tuple(targets, macs).map(([ip, mac]) => set("neigh", neigh(dev, ip, mac))),
  fc.tuple(remotes, macs).map(([dst, mac]) => set("fdb", fdb(dev, dst, mac))),
  fc
    .tuple(gateways, devs, fc.boolean())
    .map(([via, of, onlink]) => set("route", route(of, "10.7.0.0/24", via, onlink))),
  fc
    .tuple(gateways6, devs, fc.boolean())
    .map(([via, of, onlink]) => set("route", route(of, "fd00:7::/64", via, onlink))),
  devs.map((of) => set("route", route(of, "10.8.0.0/24", null, false))),
);
const removals = ops.map((op): Step => ({ op: { ...op, verb: "del", found: op.object } as Op }));
const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: ops.map((op): Step => ({ op })) },
  { weight: 4, arbitrary: removals },
  { weight: 1, arbitrary: fc.boolean().map((up): Step => ({ up })) },
  { weight: 1, arbitrary: fc.constant<Step>({ delLink: true }) },
);

/** Found by chance, one sequence in some hundreds. */
const EXAMPLES: [readonly Step[]][] = [
  [
    // An IPv4 address keeps its local route while its device is down.
    [
      { op: set("addr", { dev, address: "10.5.1.0/32" }) },
      { up: false },
      { op: set("route", route(dev, "10.7.0.0/24", "10.5.1.0", false)) },
    ],
  ],
];

/** The outcome of every op, and the state after every step. */
async function run(host: KernelUnderTest, sequence: readonly Step[]): Promise<unknown[]> {
  const seen: unknown[] = [];
  for (const step of sequence) {
    if ("op" in step) {
      const [outcome] = await host.kernel.apply([step.op]);
      seen.push(outcome?.ok === true ? 0 : outcome?.errno);
    } else if (host.foreign.hasLink(dev)) {
      if ("up" in step) host.foreign.setUp(dev, step.up);
      else host.foreign.delLink(dev);
    }
    const state = await host.kernel.observe({ ...scope, sysctls: [], rules: [] });
    seen.push(Object.entries(state).map(([noun, map]) => [noun, sorted(map)]));
  }
  return seen;
}

function sorted(map: ReadonlyMap<string, unknown>): [string, unknown][] {
  return Array.from(map).sort(([a], [b]) => (a < b ? -1 : 1));
}

async function besideEachOther(rest: readonly Step[]): Promise<void> {
  const sequence = [{ op: set("link", link) }, ...rest];
  const real = realKernel();
  try {
    expect(await run(modelKernel(), sequence)).toEqual(await run(real, sequence));
  } finally {
    real.dispose();
  }
}

if (requireRoot("the model beside the real kernel")) {
  test("the model does what the real kernel does, for any sequence of changes", async () => {
    const sequences = fc.array(steps, { minLength: 4, maxLength: 14 });
    await fc.assert(fc.asyncProperty(sequences, besideEachOther), {
      numRuns: RUNS,
      examples: EXAMPLES,
    });
  });
}
