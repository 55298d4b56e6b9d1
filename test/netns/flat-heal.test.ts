// A flat segment under damage and under new configurations: every object of ours is right again
// within two seconds and an event names it, what devices learnt and what others have stays, and
// modes change on running agents, one after the other, until all hosts and containers agree.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { addBridge } from "../../src/cli/dev-fabric.ts";
import {
  altered,
  DRIFT_BATCH,
  type DriftWatch,
  missing,
  type Named,
  stray,
  untilNamed,
  watchDrift,
} from "../support/drift-watch.ts";
import { TestFabric, until } from "../support/fabric.ts";
import { requireRoot } from "../support/netns.ts";
import { pingAll, type Row, viewOf } from "../support/overlay.ts";
import { Stopwatch } from "../support/stopwatch.ts";

const NAMES = ["h1", "h2", "h3"] as const;
const LIMIT_MS = 2000;
const BRIDGE = "br-flat";
const DUAL = { Network: "10.5.0.0/16", EnableIPv6: true, IPv6Network: "fd00:10:5::/48" };
const HEAD_END = { ...DUAL, Backend: { Mode: "head-end", Bridge: BRIDGE } };
const MULTICAST = { ...DUAL, Backend: { Mode: "multicast", Group: "239.1.1.1", Bridge: BRIDGE } };
const NO_BRIDGE = { ...DUAL, Backend: { Mode: "head-end" } };
const NOBODY = "00:00:00:00:00:00 dev heddle.1";

interface Damage {
  readonly name: string;
  /** Lines for `sh` on h1. */
  readonly run: string;
  readonly found: Named;
  /** Whether the device itself goes, and with it what it learnt. */
  readonly remade?: true;
}

const DEVICE: readonly Damage[] = [
  {
    name: "learning switched off",
    run: "ip link set heddle.1 type vxlan nolearning",
    found: altered("link", "nolearning"),
  },
  {
    name: "the device taken out of the bridge",
    run: "ip link set heddle.1 nomaster",
    found: altered("link", `master ${BRIDGE}`),
  },
  {
    name: "the device deleted",
    run: "ip link del heddle.1",
    found: missing("link", "heddle.1"),
    remade: true,
  },
];

const COPIES: readonly Damage[] = [
  {
    name: "a copy taken away",
    run: `bridge fdb del ${NOBODY} dst 198.18.0.2 self`,
    found: missing("fdb", "198.18.0.2"),
  },
  {
    name: "a copy to somebody else",
    run: `bridge fdb append ${NOBODY} dst 198.18.0.99 self permanent`,
    found: stray("fdb", "198.18.0.99"),
  },
  {
    name: "a second copy, to another port",
    run: `bridge fdb append ${NOBODY} dst 198.18.0.2 port 4789 self permanent`,
    found: altered("fdb", "port 4789"),
  },
  {
    name: "copies that age",
    run: `bridge fdb append ${NOBODY} dst 198.18.0.2 self dynamic`,
    found: altered("fdb", "dynamic"),
  },
  {
    name: "a group where there is none",
    run: "ip link set heddle.1 type vxlan id 1 dev eth0 local 198.18.0.1 group 239.7.7.7",
    found: altered("link", "group 239.7.7.7"),
    remade: true,
  },
];

const GROUP: readonly Damage[] = [
  {
    name: "the way to the group taken away",
    run: `bridge fdb del ${NOBODY} dst 239.1.1.1 via eth0 self`,
    found: missing("fdb", "239.1.1.1"),
  },
  {
    name: "another group",
    run: "ip link set heddle.1 type vxlan id 1 dev eth0 local 198.18.0.1 group 239.7.7.7",
    found: altered("link", "group 239.7.7.7"),
    remade: true,
  },
];

const HOST: readonly Damage[] = [
  {
    name: "the network's route deleted",
    run: "ip route del 10.5.0.0/16 dev heddle.1",
    found: missing("route", "10.5.0.0/16"),
  },
  {
    name: "the network's IPv6 route deleted",
    run: "ip -6 route del fd00:10:5::/48 dev heddle.1",
    found: missing("route", "fd00:10:5::/48"),
  },
  {
    name: "the host's address deleted",
    run: "ip -4 addr flush dev heddle.1",
    found: missing("addr", "heddle.1"),
  },
];

/** What others have on h1 beside and on the segment's device. */
const FOREIGN = `
  ip link add foreign1 type vxlan id 42 dstport 4790 dev eth0 local 198.18.0.1
  ip link set foreign1 up
  bridge fdb append 00:00:00:00:00:00 dev foreign1 dst 198.18.0.77 self permanent
`;
/** As the device would learn it. */
const LEARNT = "02:00:00:00:99:02 dev heddle.1 dst 198.18.0.3 self dynamic";
const ON_PORT = "bridge fdb replace 02:00:00:00:99:01 dev heddle.1 master static";

let fabric: TestFabric;
let watch: DriftWatch;

describe.skipIf(!requireRoot("flat segments under damage"))("a flat segment", () => {
  beforeAll(async () => {
    fabric = await TestFabric.create({ hosts: NAMES.length });
    await fabric.init(HEAD_END);
    for (const name of NAMES) {
      addBridge(fabric.host(name), BRIDGE);
      fabric.start(name);
    }
    await fabric.ready(NAMES, NAMES.length - 1);
    for (const name of NAMES) fabric.container(name, { name: BRIDGE, port: null });
    sh(FOREIGN);
    watch = watchDrift(fabric);
  });

  afterAll(async () => {
    await watch?.close();
    await fabric?.close();
  });

  // One story: each chapter begins where the one before ended.
  test("heals in every mode, and goes from mode to mode", async () => {
    await pingAll(fabric, NAMES);
    await suffer([...COPIES, ...DEVICE]);
    await pingAll(fabric, NAMES);

    await configure(MULTICAST);
    await suffer([...GROUP, ...DEVICE]);
    await pingAll(fabric, NAMES);

    // A new device, for the group cannot be taken away: the hosts themselves are in the segment.
    await configure(NO_BRIDGE);
    await suffer([...COPIES, ...HOST]);
    for (const name of NAMES) attachByHand(name);
    await pingAll(fabric, NAMES);

    expect(degraded()).toEqual([]);

    // A bridge that claims the whole network leaves no way to peers; it is its owner's to say so.
    for (const name of NAMES) giveUpNetwork(name);
    await configure({ ...DUAL, Backend: { Type: "vxlan" } });
    for (const name of NAMES) expectProactive(name);
    for (const name of ["h2", "h3"]) expect(watch.items(name)).toEqual([]);
    // A busy host may say what it lacks until all have announced what this backend needs of them.
    const lacking = /announced no VTEP for IPv6$|no public IPv6 address for /;
    expect(degraded().filter((problem) => !lacking.test(problem))).toEqual([]);
  });
});

/** What hosts said that they lack, so far. */
function degraded(): string[] {
  const said = fabric.events().filter(({ type }) => type === "HostDegraded");
  return said.flatMap(({ data }) => data?.problems as string[]);
}

function giveUpNetwork(name: string): void {
  fabric.exec(fabric.host(name).netns, ["ip", "addr", "flush", "dev", BRIDGE]);
}

function attachByHand(name: string): void {
  expect(fabric.ip(name, "link show heddle.1")[0]?.master).toBeUndefined();
  fabric.exec(fabric.host(name).netns, ["ip", "link", "set", "heddle.1", "master", BRIDGE]);
}

/** Nothing of the segment is left, not even what was learnt in it. */
function expectProactive(name: string): void {
  const view = viewOf(fabric, name);
  const entries = view.fdb.filter(
    ({ ifname, flags }) => String(ifname).startsWith("heddle") && String(flags) === "self",
  );
  expect(entries.map(({ state }) => state)).toEqual(Array(4).fill("permanent"));
  for (const { mac } of entries) expect(mac).not.toBe("00:00:00:00:00:00");
  expect(view.routes).toHaveLength(4);
  expect(view.neighs.filter(({ state }) => String(state) === "PERMANENT")).toHaveLength(4);
}

async function configure(document: object): Promise<void> {
  await fabric.init(document);
  const lastSeq = fabric.head();
  await until(`#${lastSeq} in every kernel`, 10_000, async () => {
    const found = await Promise.all(NAMES.map((name) => fabric.status(name)));
    return found.every((status) => status?.state === "ready" && status.seq.applied >= lastSeq);
  });
}

/** One after the other, in batches that share the wait for their events. */
async function suffer(damages: readonly Damage[]): Promise<void> {
  for (let at = 0; at < damages.length; at += DRIFT_BATCH) {
    const batch = damages.slice(at, at + DRIFT_BATCH);
    const known = watch.items("h1").length;
    for (const damage of batch) await heals(damage);
    let named = known;
    for (const { found } of batch) named = await untilNamed(watch, "h1", named, found);
    for (const item of watch.items("h1").slice(known)) {
      expect(`${item.found} ${item.wanted}`).not.toContain("02:00:00:00:99");
    }
  }
}

async function heals({ name, run, remade }: Damage): Promise<void> {
  const bridged = fabric.ip("h1", "link show heddle.1")[0]?.master === BRIDGE;
  if (bridged) sh(ON_PORT);
  fabric.exec(fabric.host("h1").netns, ["bridge", "fdb", "replace", ...LEARNT.split(" ")]);
  const before = ours();
  const others = foreign(bridged);
  const watch = new Stopwatch();
  sh(run);
  let after: unknown = null;
  do after = ours();
  while (!Bun.deepEquals(after, before) && watch.freeMs() < LIMIT_MS);
  expect([name, after]).toEqual([name, before]);
  if (remade === undefined) expect([name, foreign(bridged)]).toEqual([name, others]);
}

/** What h1 shall hold, without what the device learnt. */
function ours(): unknown {
  const view = viewOf(fabric, "h1");
  const fdb = view.fdb.filter(
    ({ ifname, flags, state, mac }: Row) =>
      ifname === "heddle.1" &&
      String(flags) === "self" &&
      (state === "permanent" || mac === "00:00:00:00:00:00"),
  );
  const isOurs = ({ ifname }: Row): boolean => String(ifname).startsWith("heddle");
  const [links, addrs] = [view.links.filter(isOurs), view.addrs.filter(isOurs)];
  const device = fabric.ip("h1", "-d link show").find(isOurs);
  const { info_data } = (device?.linkinfo ?? {}) as { info_data?: Row };
  const group = info_data?.group;
  return { links, addrs, fdb, group, master: device?.master, routes: view.routes };
}

function foreign(bridged: boolean): unknown {
  const learnt = fabric
    .bridge("h1", "fdb show dev heddle.1")
    .filter(({ mac }) => String(mac).startsWith("02:00:00:00:99"));
  // A port that leaves its bridge leaves its entries there.
  const kept = bridged ? learnt.filter(({ master }) => master === undefined) : learnt;
  return { kept, other: fabric.bridge("h1", "fdb show dev foreign1") };
}

function sh(lines: string): void {
  const ran = fabric.exec(fabric.host("h1").netns, ["sh", "-e", "-c", lines]);
  if (ran.code !== 0) throw new Error(`${lines.trim()}: ${ran.err}`);
}
