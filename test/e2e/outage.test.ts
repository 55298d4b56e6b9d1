// The log is away, because its server ended or because it hangs: packets flow, restarted agents put
// their data plane back from the snapshot, nobody loses a lease, and all is well when it is back.

import { expect, test } from "bun:test";
import { ip } from "../../src/cli/dev-netns.ts";
import { type TestFabric, until, withFabric } from "../support/fabric.ts";
import { requireRoot } from "../support/netns.ts";
import { Pinger } from "../support/pinger.ts";
import { Stopwatch } from "../support/stopwatch.ts";

const canRun = requireRoot("a log that is away");
const RESTARTED = ["h1", "h2", "h3"];
/** h5 runs on, without a snapshot at its start: it has met the log. */
const HOSTS = [...RESTARTED, "h5"];
const PEERS = HOSTS.length - 1;
/** Shorter than the outage: every lease runs out while nobody can renew it. */
const LEASE = ["--lease-ttl", "6", "--lease-renew-margin", "3"];
const GIVE_UP_MS = 10_000;

const OUTAGES = [
  {
    name: "stopped",
    begin: (fabric: TestFabric) => fabric.log.stop(),
    end: (fabric: TestFabric) => fabric.log.start(),
  },
  {
    name: "frozen",
    begin: (fabric: TestFabric) => fabric.log.freeze(),
    end: async (fabric: TestFabric) => fabric.log.thaw(),
  },
];

for (const outage of OUTAGES) {
  // Side by side: each waits more than it works.
  test.concurrent.skipIf(!canRun)(
    `with the server ${outage.name} no ping is lost, agents start from snapshots, all leases stay`,
    () => withFabric({ hosts: 5 }, (fabric) => outlive(fabric, outage)),
  );
}

async function outlive(fabric: TestFabric, outage: (typeof OUTAGES)[number]): Promise<void> {
  await fabric.init({ Network: "10.5.0.0/16" });
  for (const name of RESTARTED) fabric.start(name, ...LEASE);
  await fabric.ready(RESTARTED, RESTARTED.length - 1);
  const [c1, c2, c3] = RESTARTED.map((name) => fabric.container(name));
  if (c1 === undefined || c2 === undefined || c3 === undefined) throw new Error("no container");
  fabric.start("h5", ...LEASE);
  await fabric.ready(HOSTS, PEERS);
  const before = await Promise.all(HOSTS.map(async (name) => (await fabric.status(name))?.lease));
  // Every host's claim is in them; how many renewals came before it is a matter of time.
  await fabric.snapshots(RESTARTED, fabric.head());
  const pings = [Pinger.start(c1.netns, c2.ipv4), Pinger.start(c2.netns, c1.ipv4)];

  await outage.begin(fabric);
  const watch = new Stopwatch();
  const newcomer = fabric.start("h4", ...LEASE);
  const gaveUp = newcomer.exited.then(() => ({ wallMs: watch.wallMs(), freeMs: watch.freeMs() }));
  await fabric.end("h1", "SIGKILL");
  await fabric.end("h3", "SIGKILL");
  const ended = fabric.end("h2", "SIGTERM");
  ip(fabric.host("h3").netns, "link del heddle.1");
  fabric.start("h1", ...LEASE);
  fabric.start("h3", ...LEASE);
  expect(await ended).toBe(0);
  fabric.start("h2", ...LEASE);

  await degraded(fabric);
  // The wiped host has everything again, and heals without a log too.
  const device = fabric.ip("h3", "-d link show heddle.1");
  expect(device).toMatchObject([{ ifname: "heddle.1", operstate: "UNKNOWN" }]);
  expect(fabric.ping(c3, c1)).toBe(true);
  ip(fabric.host("h3").netns, "route flush proto 104");
  await until(
    "a route healed",
    3000,
    () => fabric.ip("h3", "route show proto 104").length === PEERS,
  );
  const shown = fabric.exec(fabric.host("h1").netns, fabric.command("status", "h1"));
  expect(shown.code).toBe(1);
  expect(shown.out).toMatch(/^! log: /m);

  // A host that knows nothing has nothing to go by.
  expect(await newcomer.exited).toBe(3);
  const { wallMs, freeMs } = await gaveUp;
  expect(wallMs).toBeGreaterThan(GIVE_UP_MS - 500);
  expect(freeMs).toBeLessThan(GIVE_UP_MS + 4000);
  expect(fabric.logs("h4")).toMatch(/^heddle: .*; there is no snapshot to start from\n$/);
  expect(fabric.ip("h4", "route show proto 104")).toEqual([]);

  await outage.end(fabric);
  await until("all well again", 15_000, () => allReady(fabric));
  fabric.start("h4", ...LEASE);
  await fabric.ready([...HOSTS, "h4"], PEERS + 1);
  // By then whoever wanted to propose an expiry has done so.
  await until("every lease renewed", 15_000, () => renewals(fabric).every((n) => n >= 1));
  const after = await Promise.all(HOSTS.map(async (name) => (await fabric.status(name))?.lease));
  expect(after.map((lease) => lease?.subnets)).toEqual(before.map((lease) => lease?.subnets));
  expect(after.map((lease) => lease?.epoch)).toEqual([1, 1, 1, 1]);
  const types = fabric.events().map(({ type }) => type);
  expect(types).not.toContain("LeaseExpired");
  expect(types).not.toContain("NodeLeft");
  for (const ping of pings) {
    const { sent, lost } = await ping.stop();
    expect(sent).toBeGreaterThan(500);
    expect(lost).toEqual([]);
  }
}

/** Until every agent that was there says why it is not well, and still has its peers. */
async function degraded(fabric: TestFabric): Promise<void> {
  await until("all degraded with a reason", 15_000, async () => {
    const found = await Promise.all(HOSTS.map((name) => fabric.status(name)));
    return found.every(
      (status) =>
        status?.state === "degraded" &&
        status.problems.some((problem) => problem.startsWith("log: ")) &&
        status.peers.filter((peer) => peer.state === "applied").length === PEERS,
    );
  });
}

async function allReady(fabric: TestFabric): Promise<boolean> {
  const found = await Promise.all(HOSTS.map((name) => fabric.status(name)));
  return found.every((status) => status?.state === "ready" && status.peers.length === PEERS);
}

/** How often each host renewed its lease since the last agent joined. */
function renewals(fabric: TestFabric): number[] {
  const events = fabric.events();
  const joined = events.findLastIndex(({ type }) => type === "NodeJoined");
  const said = events.slice(joined).filter(({ type }) => type === "LeaseRenewed");
  return HOSTS.map((name) => said.filter(({ data }) => data?.node === name).length);
}
