// Somebody damages what a host holds, one thing at a time: it is right again within two seconds,
// an event says what was found, and what others have on the same host is as it was, byte for
// byte. What "right" is, is what ip, bridge, nft and the files said before the damage.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
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
import { networkOf, subnetsOf, viewOf } from "../support/overlay.ts";
import { Stopwatch } from "../support/stopwatch.ts";

const NAMES = ["h1", "h2", "h3"] as const;
const LIMIT_MS = 2000;
const DUAL = { Network: "10.5.0.0/16", EnableIPv6: true, IPv6Network: "fd00:10:5::/48" };

interface Damage {
  readonly name: string;
  /** Lines for `sh` on h1, with the words of `Place` filled in. */
  readonly run: string;
  readonly found: Named;
}

/**
 * Words for commands: S subnet and N network address of h1 to h3, with 6 for IPv6; M the MAC of the
 * tunnel; ENV the subnet file; PID the agent.
 */
type Place = Readonly<Record<string, string>>;

const ANYWHERE: readonly Damage[] = [
  { name: "a peer's route deleted", run: "ip route del $S2", found: missing("route", "$S2") },
  {
    name: "a peer's IPv6 route deleted",
    run: "ip -6 route del $S26",
    found: missing("route", "$S26"),
  },
  {
    name: "all routes of our protocol flushed",
    run: "ip route flush proto 104; ip -6 route flush proto 104",
    found: missing("route", "$S3"),
  },
  {
    name: "a peer's route replaced by somebody's blackhole",
    run: "ip route replace blackhole $S2",
    // What stands on no device of ours is not looked at; ours is missing.
    found: missing("route", "$S2"),
  },
  {
    name: "a second route to a peer, before ours",
    run: "ip -6 route add $S26 via fd00:198:18::fe dev eth0 metric 9 proto 104",
    found: stray("route", "$S26"),
  },
  {
    name: "a stray route with our mark",
    run: "ip route add 10.5.250.0/24 via 198.18.0.254 dev eth0 proto 104",
    found: stray("route", "10.5.250.0/24"),
  },
  { name: "subnet.env deleted", run: "rm $ENV", found: missing("file", "subnet.env") },
  {
    name: "subnet.env altered",
    run: "echo FLANNEL_MTU=9000 >> $ENV",
    found: altered("file", "FLANNEL_MTU=9000"),
  },
  {
    name: "the packet filter table deleted",
    run: "nft delete table inet heddle_default",
    found: missing("rule", "heddle_default"),
  },
  {
    name: "a rule added to our table",
    run: "nft insert rule inet heddle_default forward drop",
    found: altered("rule", "heddle_default"),
  },
  {
    name: "IPv4 forwarding switched off",
    run: "sysctl -qw net.ipv4.ip_forward=0",
    found: altered("sysctl", "ip_forward"),
  },
  {
    name: "IPv6 forwarding switched off",
    run: "sysctl -qw net.ipv6.conf.all.forwarding=0",
    found: altered("sysctl", "forwarding"),
  },
];

const VXLAN: readonly Damage[] = [
  {
    name: "a peer's route sent through another peer",
    run: "ip route replace $S2 via $N3 dev heddle.1 onlink proto 104",
    found: altered("route", "via $N3"),
  },
  {
    name: "a peer's neighbour deleted",
    run: "ip neigh del $N2 dev heddle.1",
    found: missing("neigh", "$N2"),
  },
  {
    name: "a peer's neighbour altered",
    run: "ip neigh replace $N2 lladdr 02:00:00:00:00:99 dev heddle.1 nud permanent",
    found: altered("neigh", "02:00:00:00:00:99"),
  },
  {
    name: "a peer's IPv6 neighbour deleted",
    run: "ip neigh del $N26 dev heddle-v6.1",
    found: missing("neigh", "$N26"),
  },
  {
    name: "a stray neighbour on the tunnel",
    run: "ip neigh add 10.5.250.0 lladdr 02:00:00:00:00:98 dev heddle.1 nud permanent proto 104",
    found: stray("neigh", "10.5.250.0"),
  },
  {
    name: "a peer's FDB entry deleted",
    run: "bridge fdb del $M2 dev heddle.1 dst 198.18.0.2 self",
    found: missing("fdb", "$M2"),
  },
  {
    name: "a peer's FDB entry sent elsewhere",
    run: "bridge fdb replace $M2 dev heddle.1 dst 198.18.0.99 self permanent",
    found: missing("fdb", "$M2"),
  },
  {
    name: "a destination for all unknown MACs",
    run: "bridge fdb append 00:00:00:00:00:00 dev heddle.1 dst 198.18.0.99 self permanent",
    found: stray("fdb", "198.18.0.99"),
  },
  {
    name: "a stray FDB entry on the tunnel",
    run: "bridge fdb add 02:00:00:00:00:97 dev heddle.1 dst 198.18.0.97 self permanent",
    found: stray("fdb", "02:00:00:00:00:97"),
  },
  {
    name: "the tunnel's address deleted",
    run: "ip addr del $N1/32 dev heddle.1",
    found: missing("addr", "$N1/32"),
  },
  {
    name: "an address added to the tunnel",
    run: "ip addr add 10.5.250.1/32 dev heddle.1",
    found: stray("addr", "10.5.250.1/32"),
  },
  {
    name: "the tunnel's MTU changed",
    run: "ip link set heddle.1 mtu 1400",
    found: altered("link", "mtu 1400"),
  },
  {
    name: "the tunnel's MAC changed",
    run: "ip link set heddle.1 address 02:00:00:00:00:96",
    found: altered("link", "02:00:00:00:00:96"),
  },
  {
    name: "learning switched on",
    run: "ip link set heddle.1 type vxlan learning",
    found: altered("link", "heddle.1"),
  },
  {
    name: "the tunnel's mark taken off",
    run: "ip link set heddle.1 alias ''",
    found: altered("link", "heddle.1"),
  },
  {
    name: "router advertisements accepted on the tunnel",
    run: "echo 2 > /proc/sys/net/ipv6/conf/heddle-v6.1/accept_ra",
    found: altered("sysctl", "accept_ra"),
  },
  { name: "the tunnel set down", run: "ip link set heddle.1 down", found: altered("link", "down") },
  {
    name: "the IPv6 tunnel set down and up",
    run: "ip link set heddle-v6.1 down; ip link set heddle-v6.1 up",
    found: missing("route", "$S26"),
  },
  {
    name: "the tunnel deleted",
    run: "ip link del heddle.1",
    found: missing("link", "heddle.1"),
  },
  {
    name: "the tunnel replaced by one with another VNI",
    // While the agent looks away, or its healing comes between the two.
    run: `
      kill -STOP $PID
      ip link del heddle.1
      ip link add heddle.1 type vxlan id 99 dstport 4791 dev eth0
      ip link set heddle.1 alias 'heddle default'
      kill -CONT $PID`,
    found: altered("link", "id 99"),
  },
];

const HOST_GW: readonly Damage[] = [
  {
    name: "a peer's gateway changed",
    run: "ip route replace $S2 via 198.18.0.3 dev eth0 proto 104",
    found: altered("route", "via 198.18.0.3"),
  },
  {
    name: "a peer's route taken over by somebody",
    run: "ip route replace $S2 via 198.18.0.254 dev eth0",
    found: altered("route", "via 198.18.0.254"),
  },
  {
    name: "a peer's IPv6 gateway changed",
    run: "ip -6 route replace $S26 via fd00:198:18::3 dev eth0 proto 104 metric 1024",
    found: altered("route", "via fd00:198:18::3"),
  },
];

/** What others have on the host; made before any damage. */
const FOREIGN = `
  ip link add foreign0 type bridge
  ip addr add 10.99.0.1/24 dev foreign0
  ip link set foreign0 up
  ip neigh add 10.99.0.9 lladdr 02:00:00:00:99:09 dev foreign0 nud permanent
  ip route add 10.98.0.0/24 via 10.99.0.9
  ip route add 10.97.0.0/24 via 198.18.0.254 dev eth0 proto static
  ip route add 10.96.0.0/24 via 198.18.0.254 dev eth0 table 100
  ip neigh add 198.18.0.200 lladdr 02:00:00:00:99:20 dev eth0 nud permanent
  ip link add foreign1 type vxlan id 42 dstport 4790 dev eth0 local 198.18.0.1 nolearning
  ip link set foreign1 up
  bridge fdb append 02:00:00:00:99:42 dev foreign1 dst 198.18.0.2 self permanent
  ip neigh add 10.95.0.1 lladdr 02:00:00:00:99:42 dev foreign1 nud permanent
  ip route add 10.95.0.1 dev foreign1
  nft 'table inet foreign { chain forward { type filter hook forward priority 5; accept; }; }'
`;
const FOREIGN_SHOWN: readonly string[] = [
  "ip -j link show foreign0",
  "ip -j -d link show foreign1",
  "ip -j -d link show eth0",
  "ip -j addr show foreign0",
  "ip -j addr show eth0",
  "ip -j -4 route show table main dev foreign0",
  "ip -j -4 route show table main dev foreign1",
  "ip -j -4 route show table main dev eth0 proto static",
  "ip -j -4 route show table 100",
  "ip -j neigh show dev foreign0 nud permanent",
  "ip -j neigh show dev foreign1 nud permanent",
  "ip -j neigh show dev eth0 nud permanent",
  "bridge -j fdb show dev foreign1",
  "nft -j list table inet foreign",
];

interface Outcome {
  readonly ms: number;
  readonly before: unknown;
  readonly after: unknown;
  readonly foreign: string;
  /** Null when an event named it, else what events did say. */
  unnamed: string | null;
}

for (const [type, damages] of [
  ["vxlan", [...ANYWHERE, ...VXLAN]],
  ["host-gw", [...ANYWHERE, ...HOST_GW]],
] as const) {
  describe.skipIf(!requireRoot("healing"))(`healing, ${type}`, () => {
    let fabric: TestFabric;
    let watch: DriftWatch;
    let foreign: string;
    const outcomes = new Map<string, Outcome>();

    // Everything is done here, in batches that share the wait for their events.
    beforeAll(async () => {
      fabric = await TestFabric.create({ hosts: NAMES.length });
      sh(fabric, FOREIGN);
      await fabric.init({ ...DUAL, Backend: { Type: type } });
      const [agent] = NAMES.map((name) => fabric.start(name));
      await fabric.ready(NAMES, NAMES.length - 1);
      watch = watchDrift(fabric);
      const place = { ...placeOf(fabric, type), PID: String(agent?.pid) };
      const settled = (): boolean => !foreignOf(fabric).includes("tentative");
      await until("the foreign addresses are no longer tentative", 5000, settled);
      foreign = foreignOf(fabric);
      for (let at = 0; at < damages.length; at += DRIFT_BATCH) {
        const known = watch.items("h1").length;
        const batch = damages.slice(at, at + DRIFT_BATCH);
        for (const damage of batch) outcomes.set(damage.name, await suffer(fabric, damage, place));
        for (const { name, found } of batch) {
          const outcome = outcomes.get(name);
          if (outcome !== undefined) {
            outcome.unnamed = await unnamed(watch, known, found, place);
          }
        }
      }
      report(type, outcomes);
    });

    afterAll(async () => {
      await watch?.close();
      await fabric?.close();
    });

    test.each(damages as Damage[])("$name", ({ name }) => {
      const outcome = outcomes.get(name);
      expect(outcome?.after).toEqual(outcome?.before);
      expect(outcome?.ms).toBeLessThan(LIMIT_MS);
      expect(outcome?.unnamed).toBeNull();
      expect(outcome?.foreign).toBe(foreign);
    });

    test("what others have is there at all", () => {
      expect(foreign.match(/10\.9[5-9]\.0/g)?.length).toBeGreaterThanOrEqual(6);
    });

    test("nothing is found where nothing was done", () => {
      for (const name of ["h2", "h3"]) expect(watch.items(name)).toEqual([]);
    });
  });
}

async function suffer(fabric: TestFabric, { run }: Damage, place: Place): Promise<Outcome> {
  const before = holdings(fabric);
  let after = before;
  sh(fabric, filled(run, place));
  const watch = new Stopwatch();
  do after = holdings(fabric);
  while (!Bun.deepEquals(after, before) && watch.freeMs() < LIMIT_MS);
  return { ms: watch.freeMs(), before, after, foreign: foreignOf(fabric), unnamed: null };
}

async function unnamed(
  watch: DriftWatch,
  known: number,
  { noun, problem, words }: Named,
  place: Place,
): Promise<string | null> {
  try {
    await untilNamed(watch, "h1", known, { noun, problem, words: filled(words, place) });
    return null;
  } catch (error) {
    if (error instanceof Error) return error.message;
    throw error;
  }
}

function holdings(fabric: TestFabric): unknown {
  const { netns, subnetFile } = fabric.host("h1");
  const keys = [
    "net.ipv4.ip_forward",
    "net.ipv6.conf.all.forwarding",
    "net.ipv6.conf.heddle-v6/1.accept_ra",
  ];
  return {
    ...viewOf(fabric, "h1"),
    sysctls: fabric.exec(netns, ["sysctl", "-e", ...keys]).out,
    subnetEnv: existsSync(subnetFile) ? readFileSync(subnetFile, "utf8") : null,
    // Whoever took a peer's subnet under another protocol.
    pool: fabric.exec(netns, ["ip", "route", "show", "root", "10.5.0.0/16"]).out,
  };
}

function placeOf(fabric: TestFabric, type: string): Place {
  const place: Record<string, string> = { ENV: fabric.host("h1").subnetFile };
  for (const name of NAMES) {
    const n = name.slice(1);
    const { ipv4, ipv6 } = subnetsOf(fabric.host(name));
    place[`S${n}`] = ipv4 ?? "";
    place[`N${n}`] = networkOf(ipv4 ?? "");
    place[`S${n}6`] = ipv6 ?? "";
    place[`N${n}6`] = networkOf(ipv6 ?? "");
    if (type !== "vxlan") continue;
    place[`M${n}`] = String(fabric.ip(name, "link show heddle.1")[0]?.address);
  }
  return place;
}

function filled(text: string, place: Place): string {
  return text.replace(/\$([A-Z]+\d*)/g, (_, word: string) => place[word] ?? `no ${word}`);
}

/** Commands on h1; the first that fails ends the test. */
function sh(fabric: TestFabric, lines: string): void {
  const ran = fabric.exec(fabric.host("h1").netns, ["sh", "-e", "-c", lines]);
  if (ran.code !== 0) throw new Error(`${lines.trim()}: ${ran.err}`);
}

function foreignOf(fabric: TestFabric): string {
  const { netns } = fabric.host("h1");
  return FOREIGN_SHOWN.map((command) => {
    const ran = fabric.exec(netns, command.split(" "));
    return `${command}\n${ran.out}${ran.err}`;
  }).join("\n");
}

function report(type: string, outcomes: ReadonlyMap<string, Outcome>): void {
  const slowestFirst = [...outcomes].toSorted(([, a], [, b]) => b.ms - a.ms);
  const shown = slowestFirst.map(([name, { ms }]) => `${ms.toFixed(0).padStart(6)}  ${name}`);
  console.log(`milliseconds until right again (${type}):\n${shown.join("\n")}`);
}
