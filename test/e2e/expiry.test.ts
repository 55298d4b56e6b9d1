// A host that is cut off for longer than its lease: another host says so in the log, another takes
// the subnet, and the one that comes back learns both from the log, never overwrites anybody, and
// takes the next subnet that is free.

import { expect, test } from "bun:test";
import { readSubnetEnv } from "../../src/cli/dev-fabric.ts";
import { ip } from "../../src/cli/dev-netns.ts";
import { type TestFabric, until, withFabric } from "../support/fabric.ts";
import { requireRoot } from "../support/netns.ts";
import { Pinger } from "../support/pinger.ts";

const canRun = requireRoot("a host that is cut off");
/** Exactly as many subnets as hosts that hold one. */
const POOL = { Network: "10.7.0.0/16", SubnetMin: "10.7.1.0", SubnetMax: "10.7.3.0" };
const LEASE = ["--lease-ttl", "4", "--lease-renew-margin", "2"];
const TTL_MS = 4000;
const LIMIT_MS = 15_000;

const CUTS = [
  {
    name: "its link is down",
    begin: (fabric: TestFabric) => ip(fabric.dev.switch, "link set h3 down"),
    end: (fabric: TestFabric) => ip(fabric.dev.switch, "link set h3 up"),
  },
  {
    name: "its agent hangs",
    begin: (fabric: TestFabric) => fabric.signal("h3", "SIGSTOP"),
    end: (fabric: TestFabric) => fabric.signal("h3", "SIGCONT"),
  },
];

for (const cut of CUTS) {
  test.concurrent.skipIf(!canRun)(
    `while ${cut.name}, its subnet goes to another host, and it comes back with a new one`,
    () => withFabric({ hosts: 4 }, (fabric) => loseSubnet(fabric, cut)),
  );
}

async function loseSubnet(fabric: TestFabric, cut: (typeof CUTS)[number]): Promise<void> {
  await fabric.init(POOL);
  for (const name of ["h1", "h2", "h3"]) fabric.start(name, ...LEASE);
  await fabric.ready(["h1", "h2", "h3"], 2);
  const subnet = await subnetOf(fabric, "h3");
  fabric.start("h4", ...LEASE);
  await until("no subnet for h4", LIMIT_MS, async () => {
    return (await fabric.status("h4"))?.problems.some((p) => p.includes("exhausted")) === true;
  });

  cut.begin(fabric);
  const cutMs = performance.now();
  await fabric.ready(["h1", "h2", "h4"], 2, LIMIT_MS);
  expect(performance.now() - cutMs).toBeGreaterThan(TTL_MS / 4);
  expect(await subnetOf(fabric, "h4")).toBe(subnet);
  for (const name of ["h1", "h2"]) expect(routeVia(fabric, name, subnet)).toBe("198.18.0.4");
  const pings = Pinger.start(fabric.container("h1").netns, fabric.container("h4").ipv4);

  cut.end(fabric);
  // It knows, and has nothing to take: it says so and holds nothing of the other's.
  await until("h3 knows", LIMIT_MS, async () => {
    const status = await fabric.status("h3");
    return status?.lease === null && status.problems.some((p) => p.includes("exhausted"));
  });
  const own = await subnetOf(fabric, "h2");
  expect(fabric.down("h2").code).toBe(0);
  await fabric.ready(["h1", "h3", "h4"], 2, LIMIT_MS);
  expect(await subnetOf(fabric, "h3")).toBe(own);
  expect(await subnetOf(fabric, "h4")).toBe(subnet);
  expectMoved(fabric, subnet, own);
  expect(fabric.ping(fabric.container("h4"), fabric.container("h3"))).toBe(true);
  const { sent, lost } = await pings.stop();
  expect(sent).toBeGreaterThan(20);
  expect(lost).toEqual([]);
  expectHistory(fabric, subnet, own);
}

/**
 * The old address, file and routes are gone from h3, and h1 reaches each subnet at its new host.
 */
function expectMoved(fabric: TestFabric, subnet: string, own: string): void {
  const addresses = fabric.ip("h3", "-4 addr show dev heddle.1")[0]?.addr_info;
  expect(addresses).toMatchObject([{ local: own.replace("/24", ""), prefixlen: 32 }]);
  expect(addresses).toHaveLength(1);
  expect(readSubnetEnv(fabric.host("h3")).ipv4).toBe(own.replace(".0/", ".1/"));
  expect(routeVia(fabric, "h3", subnet)).toBe("198.18.0.4");
  expect(routeVia(fabric, "h1", subnet)).toBe("198.18.0.4");
  expect(routeVia(fabric, "h1", own)).toBe("198.18.0.3");
}

/** What happened is in the log, in this order, and nothing that h3 said meanwhile counts. */
function expectHistory(fabric: TestFabric, subnet: string, own: string): void {
  const events = fabric.events();
  const accepted = events.filter(({ verdict }) => verdict.kind === "accepted");
  const expired = accepted.filter(({ type }) => type === "LeaseExpired");
  expect(expired).toHaveLength(1);
  expect(expired[0]?.data).toMatchObject({ owner: "h3", epoch: 1, subnets: [subnet] });
  expect(expired[0]?.data?.node).not.toBe("h3");
  const expirySeq = expired[0]?.seq ?? 0;
  const since = accepted.filter(({ seq }) => seq > expirySeq);
  const claims = since.filter(({ type }) => type === "LeaseClaimed").map(({ data }) => data);
  expect(claims).toMatchObject([
    { node: "h4", epoch: 1, subnets: [subnet] },
    { node: "h3", epoch: 2, subnets: [own] },
  ]);
  const said = since.filter(({ subject }) => subject.includes(".h3.")).map(({ type }) => type);
  expect(said[0]).toBe("NodeJoined");
  expect(events.filter(({ verdict }) => verdict.kind === "quarantined")).toEqual([]);
}

async function subnetOf(fabric: TestFabric, name: string): Promise<string> {
  return (await fabric.status(name))?.lease?.subnets[0] ?? "none";
}

/** The underlay address to which a host sends what is for `subnet`: route, neighbour, FDB entry. */
function routeVia(fabric: TestFabric, name: string, subnet: string): string {
  const route = fabric.ip(name, `-4 route show ${subnet} proto 104`)[0];
  const neighbour = fabric.ip(name, `neigh show ${String(route?.gateway)} dev heddle.1`)[0];
  const entries = fabric.bridge(name, "fdb show dev heddle.1");
  const entry = entries.find(({ mac }) => mac === neighbour?.lladdr);
  return String(entry?.dst);
}
