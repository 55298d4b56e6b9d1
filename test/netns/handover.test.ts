// One agent after another on the real kernel, while packets flow in both directions: a takeover
// loses none, on any backend and by the packet path's threads as by its programs; a kill loses none
// of those that programs carry; and whatever goes wrong on the way, the host still has an agent.

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { type TestFabric, until } from "../support/fabric.ts";
import { freeze } from "../support/freeze.ts";
import { requireRoot } from "../support/netns.ts";
import { type Agent, NAMES, Succession } from "../support/succession.ts";
import { untilValue } from "../support/tunnel.ts";

const V4 = { Network: "10.5.0.0/16" };
const V6 = { EnableIPv4: false, EnableIPv6: true, IPv6Network: "fd00:10:5::/48" };

function saidByH1({ fabric }: Succession): string[] {
  const of = (data: unknown): boolean => (data as { node?: string } | null)?.node === "h1";
  return fabric.events().flatMap(({ type, data }) => (of(data) && type !== null ? [type] : []));
}

function index({ fabric }: Succession, dev: string): unknown {
  return fabric.ip("h1", `link show ${dev}`)[0]?.ifindex;
}

/** The kernel path carries only what it is asked to: IPv6 goes through the threads. */
async function isCarried({ fabric }: Succession): Promise<boolean> {
  const counters = (await fabric.status("h1"))?.tunnel?.counters;
  return (counters?.tx_encap_packets ?? 0) > 0;
}

describe.skipIf(!requireRoot("handover"))("an agent that takes over", () => {
  test.each([
    { name: "udp, programs", document: { ...V4, Backend: { Type: "udp" } }, dev: "heddle0" },
    { name: "udp, threads", document: { ...V6, Backend: { Type: "udp" } }, dev: "heddle0" },
    { name: "vxlan", document: { ...V4, Backend: { Type: "vxlan" } }, dev: "heddle.1" },
    { name: "host-gw", document: { ...V4, Backend: { Type: "host-gw" } }, dev: "eth0" },
  ])("$name: loses no packet, and ends the other quietly", async (one) => {
    await using it = await Succession.start(one.document);
    const { fabric, first } = it;
    await it.flow();
    const before = { said: saidByH1(it), index: index(it, one.dev), kernel: fabric.kernel("h1") };
    if (one.dev === "heddle0") expect(await isCarried(it)).toBe(one.name.endsWith("programs"));
    fabric.start("h1", "--takeover");
    expect(await first.exited).toBe(0);
    await fabric.ready(["h1"], 1);
    expect(await it.lost()).toEqual([[], []]);
    const after = { said: saidByH1(it), index: index(it, one.dev), kernel: fabric.kernel("h1") };
    // What every process says when it begins, and nothing about an end.
    expect(after).toEqual({ ...before, said: [...before.said, "NodeJoined"] });
    expect(fabric.logs("h1")).toContain("taken over");
  });
});

const UDP = { ...V4, Backend: { Type: "udp" } };
const UDP6 = { ...V6, Backend: { Type: "udp" } };

/** By its open files; the program keeps the pid that it was started with. */
function hasDevice(agent: Agent): boolean {
  const dir = `/proc/${agent.pid}/fd`;
  return read(() => readdirSync(dir)).some((fd) => {
    return read(() => [readlinkSync(`${dir}/${fd}`)])[0] === "/dev/net/tun";
  });
}

function reads(agent: Agent): boolean {
  const dir = `/proc/${agent.pid}/task`;
  return read(() => readdirSync(dir)).some((task) => {
    const [name] = read(() => [readFileSync(`${dir}/${task}/comm`, "utf8")]);
    return name?.startsWith("heddle-tx");
  });
}

/** Nothing when what is read has just ended. */
function read(look: () => string[]): readonly string[] {
  try {
    return look();
  } catch (error) {
    if (error instanceof Error && "code" in error) return [];
    throw error;
  }
}

const STAGES = [
  // The packet that a thread has in hand goes with it: so far there must be none.
  { stage: "it has the descriptors", document: UDP6, reached: hasDevice, over: reads },
  { stage: "its threads read", document: UDP, reached: reads, over: () => false },
];

/** False when it went on too fast for the observer, which is not what is tested. */
async function killedAt({ document, reached, over }: (typeof STAGES)[number]): Promise<boolean> {
  await using it = await Succession.start(document);
  const { fabric, first } = it;
  await it.flow();
  const second = fabric.start("h1", "--takeover");
  await untilValue(() => (reached(second) ? true : null));
  await freeze(second.pid);
  const isInTime = !over(second);
  second.kill("SIGKILL");
  await second.exited;
  if (!isInTime) return false;
  await it.passed(100);
  fabric.start("h1", "--takeover");
  await first.exited;
  await fabric.ready(["h1"], 1);
  expect(await it.lost()).toEqual([[], []]);
  return true;
}

describe.skipIf(!requireRoot("handover"))("a takeover that goes wrong", () => {
  test.each(STAGES)("killed when $stage: the other never noticed", async (one) => {
    while (!(await killedAt(one)));
  });

  test("while the configuration changes: the new one follows", async () => {
    await using it = await Succession.start(UDP);
    const { fabric, first } = it;
    const second = fabric.start("h1", "--takeover");
    await until("it has the descriptors", 10_000, () => hasDevice(second));
    await fabric.init({ ...V4, Backend: { Type: "udp", Port: 4000, MTU: 1400 } });
    expect(await first.exited).toBe(0);
    await fabric.ready(NAMES, 1);
    expect((await fabric.status("h1"))?.tunnel?.port).toBe(4000);
    expect(fabric.ip("h1", "link show heddle0")[0]?.mtu).toBe(1372);
    expect(fabric.ping(fabric.container("h1"), fabric.container("h2"))).toBe(true);
  });

  test.each([
    { path: "programs", document: UDP },
    { path: "threads", document: UDP6 },
  ])("while the device is deleted, by $path: packets flow again", async ({ document }) => {
    await using it = await Succession.start(document);
    const { fabric, first } = it;
    const second = fabric.start("h1", "--takeover");
    await until("it has the descriptors", 10_000, () => hasDevice(second));
    fabric.ip("h1", "link del heddle0");
    expect(await first.exited).toBe(0);
    await fabric.ready(["h1"], 1);
    await until("pings pass", 5000, () =>
      fabric.ping(fabric.container("h1"), fabric.container("h2")),
    );
  });
});

describe.skipIf(!requireRoot("handover"))("a takeover under odd circumstances", () => {
  test("by two at once: one has the place, the other says so and ends", async () => {
    await using it = await Succession.start(UDP);
    const { fabric, first } = it;
    await it.flow();
    const others = [fabric.start("h1", "--takeover"), fabric.start("h1", "--takeover")];
    expect(await first.exited).toBe(0);
    expect(await Promise.race(others.map((agent) => agent.exited))).toBe(1);
    await until("h1 is ready", 10_000, async () => (await fabric.status("h1"))?.state === "ready");
    expect(await it.lost()).toEqual([[], []]);
    expect(fabric.logs("h1")).toMatch(/heddle: another agent manages this network namespace/);
  });

  test("from nobody is a plain start", async () => {
    await using it = await Succession.start(UDP);
    const { fabric, first } = it;
    first.kill("SIGTERM");
    await first.exited;
    fabric.start("h1", "--takeover");
    await fabric.ready(["h1"], 1);
    expect(fabric.logs("h1")).not.toContain("taking over");
  });
});

/** Side by side: each waits out a deadline of the agent's. */
describe.skipIf(!requireRoot("handover")).concurrent("a takeover that takes its time", () => {
  test("from one that hangs: it is killed, and nothing is lost", async () => {
    await using it = await Succession.start(UDP6);
    const { fabric, first } = it;
    await it.flow();
    first.kill("SIGSTOP");
    fabric.start("h1", "--takeover");
    expect(await first.exited).not.toBe(0);
    await fabric.ready(["h1"], 1);
    expect(await it.lost()).toEqual([[], []]);
    expect(fabric.logs("h1")).toContain("does not end: killed");
  });

  test("without the log: from the snapshot", async () => {
    await using it = await Succession.start(UDP);
    const { fabric, first } = it;
    await it.flow();
    const { head } = (await fabric.status("h1"))?.seq ?? { head: 0 };
    await fabric.snapshots(["h1"], head);
    await fabric.log.freeze();
    fabric.start("h1", "--takeover");
    await first.exited;
    expect(await it.lost()).toEqual([[], []]);
    fabric.log.thaw();
    await fabric.ready(["h1"], 1);
  });

  test("by one that cannot do the other's work: the other goes on", async () => {
    await using it = await Succession.start(UDP);
    const { fabric, first } = it;
    await it.flow();
    const stranger = fabric.start("h1", "--takeover", "--node", "nobody", "--fabric", "elsewhere");
    expect(await stranger.exited).toBe(1);
    expect(first.exitCode).toBeNull();
    expect(await it.lost()).toEqual([[], []]);
    expect(fabric.logs("h1")).toMatch(/heddle: the agent that runs here \(pid \d+\) goes on/);
  });
});

/** TCP as fast as it goes in both directions; resolves with the exit codes when it is over. */
function fullLoad(fabric: TestFabric, seconds: number): Promise<number[]> {
  const ends = NAMES.map((name) => fabric.container(name));
  const clients = ends.map((to, i) => {
    const ip = to.ipv4 ?? to.ipv6 ?? "";
    const server = fabric.spawn(to.netns, ["iperf3", "-s", "-1", "--forceflush"]);
    const client = ["iperf3", "-c", ip, "-t", `${seconds}`];
    return server.stdout
      .getReader()
      .read()
      .then(() => fabric.spawn(ends[1 - i]?.netns ?? "", client).exited);
  });
  return Promise.all(clients);
}

describe.skipIf(!requireRoot("handover"))("a host whose cores are all busy with packets", () => {
  test.each([
    { path: "programs", document: UDP },
    { path: "threads", document: UDP6 },
  ])("answers, follows the log and is taken over, by $path", async ({ document }) => {
    await using it = await Succession.start(document);
    const { fabric, first } = it;
    const over = fullLoad(fabric, 4);
    await it.passed(5000);
    for (let i = 0; i < 50; i++) expect((await fabric.status("h1"))?.state).toBe("ready");
    const subnet = document === UDP ? "10.5.200.0/24" : "fd00:10:5:c8::/64";
    const ip = document === UDP ? "198.18.0.200" : "fd00:198:18::200";
    expect(fabric.heddle("peer", "add", "far", "--subnet", subnet, "--public-ip", ip).code).toBe(0);
    await fabric.ready(["h1"], 2);
    fabric.start("h1", "--takeover");
    expect(await first.exited).toBe(0);
    await fabric.ready(["h1"], 2);
    expect(await over).toEqual([0, 0]);
  });
});

describe.skipIf(!requireRoot("handover"))("an agent that is started after another", () => {
  test.each(["SIGKILL", "SIGTERM"] as const)(
    "%s: what programs carry is not lost",
    async (signal) => {
      await using it = await Succession.start(UDP);
      const { fabric, first } = it;
      await it.flow();
      const counted = (await fabric.status("h1"))?.tunnel?.peers[0]?.txPackets ?? 0;
      first.kill(signal);
      await first.exited;
      await it.passed(100);
      fabric.start("h1");
      await fabric.ready(["h1"], 1);
      expect(await it.lost()).toEqual([[], []]);
      const [peer] = (await fabric.status("h1"))?.tunnel?.peers ?? [];
      expect(peer?.name).toBe("h2");
      expect(peer?.txPackets).toBeGreaterThan(counted + 100);
    },
  );
});
