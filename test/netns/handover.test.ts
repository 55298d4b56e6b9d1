// One agent after another on the real kernel, while packets flow in both directions: a takeover
// loses none, on any backend and by the packet path's threads as by its programs; a kill loses none
// of those that programs carry; and whatever goes wrong on the way, the host still has an agent.

import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { TestFabric, until } from "../support/fabric.ts";
import { requireRoot } from "../support/netns.ts";
import { type PingStream, pingStream } from "../support/ping-stream.ts";

setDefaultTimeout(60_000);

const V4 = { Network: "10.5.0.0/16" };
const V6 = { EnableIPv4: false, EnableIPv6: true, IPv6Network: "fd00:10:5::/48" };
const NAMES = ["h1", "h2"] as const;

let fabric: TestFabric;
let streams: PingStream[] = [];

type Agent = ReturnType<TestFabric["start"]>;

/** Two hosts, and the agent of the first. */
async function started(document: object): Promise<Agent> {
  fabric = await TestFabric.create({ hosts: NAMES.length });
  await fabric.init(document);
  const [first] = NAMES.map((name) => fabric.start(name));
  await fabric.ready(NAMES, 1);
  for (const name of NAMES) fabric.container(name);
  if (first === undefined) throw new Error("no agent");
  return first;
}

/** Pings in both directions, 200 a second each; resolves when they flow. */
async function flow(): Promise<void> {
  const args = "-i 0.005 -W 2";
  streams = [
    pingStream(fabric, { from: "h1", to: "h2", args }),
    pingStream(fabric, { from: "h2", to: "h1", args }),
  ];
  await passed(50);
}

function inPackets(): number {
  const line = fabric.exec(fabric.container("h1").netns, ["cat", "/proc/net/snmp6"]).out;
  const line4 = fabric.exec(fabric.container("h1").netns, ["cat", "/proc/net/snmp"]).out;
  const six = Number(/Ip6InReceives\s+(\d+)/.exec(line)?.[1] ?? 0);
  const four = Number(/^Ip: \d+ \d+ (\d+)/m.exec(line4)?.[1] ?? 0);
  return four + six;
}

/** Waits until the container of h1 has received `packets` more. */
async function passed(packets: number): Promise<void> {
  const before = inPackets();
  await until(`${packets} packets arrive`, 10_000, () => inPackets() >= before + packets);
}

async function lost(): Promise<number[]> {
  await passed(50);
  return (await Promise.all(streams.map((stream) => stream.stop()))).map((count) => count.lost);
}

function saidByH1(): string[] {
  const of = (data: unknown): boolean => (data as { node?: string } | null)?.node === "h1";
  return fabric.events().flatMap(({ type, data }) => (of(data) && type !== null ? [type] : []));
}

const index = (dev: string): unknown => fabric.ip("h1", `link show ${dev}`)[0]?.ifindex;

/** The kernel path carries only what it is asked to: IPv6 goes through the threads. */
async function isCarried(): Promise<boolean> {
  const counters = (await fabric.status("h1"))?.tunnel?.counters;
  return (counters?.tx_encap_packets ?? 0) > 0;
}

afterEach(async () => {
  const open = streams;
  streams = [];
  try {
    await Promise.all(open.map((stream) => stream.stop()));
  } finally {
    await fabric.close();
  }
});

describe.skipIf(!requireRoot("handover"))("an agent that takes over", () => {
  test.each([
    { name: "udp, programs", document: { ...V4, Backend: { Type: "udp" } }, dev: "heddle0" },
    { name: "udp, threads", document: { ...V6, Backend: { Type: "udp" } }, dev: "heddle0" },
    { name: "vxlan", document: { ...V4, Backend: { Type: "vxlan" } }, dev: "heddle.1" },
    { name: "host-gw", document: { ...V4, Backend: { Type: "host-gw" } }, dev: "eth0" },
  ])("$name: loses no packet, and ends the other quietly", async (one) => {
    const first = await started(one.document);
    await flow();
    const before = { said: saidByH1(), index: index(one.dev), kernel: fabric.kernel("h1") };
    if (one.dev === "heddle0") expect(await isCarried()).toBe(one.name.endsWith("programs"));
    fabric.start("h1", "--takeover");
    expect(await first.exited).toBe(0);
    await fabric.ready(["h1"], 1);
    expect(await lost()).toEqual([0, 0]);
    const after = { said: saidByH1(), index: index(one.dev), kernel: fabric.kernel("h1") };
    // What every process says when it begins, and nothing about an end.
    expect(after).toEqual({ ...before, said: [...before.said, "NodeJoined"] });
    expect(fabric.logs("h1")).toContain("taken over");
  });
});

const UDP = { ...V4, Backend: { Type: "udp" } };
const UDP6 = { ...V6, Backend: { Type: "udp" } };

/** Links of a process's open files; the program keeps the pid that it was started with. */
function openFiles(agent: Agent): string[] {
  const ran = fabric.exec(fabric.dev.switch, ["ls", "-l", `/proc/${agent.pid}/fd`]);
  return ran.out.split("\n").map((line) => line.split(" -> ")[1] ?? "");
}

function threadsOf(agent: Agent): string {
  return fabric.exec(fabric.dev.switch, ["sh", "-c", `cat /proc/${agent.pid}/task/*/comm`]).out;
}

const STAGES = [
  {
    stage: "it has the descriptors",
    document: UDP6,
    reached: (agent: Agent) => openFiles(agent).includes("/dev/net/tun"),
  },
  {
    stage: "its threads read",
    document: UDP,
    reached: (agent: Agent) => threadsOf(agent).includes("heddle-tx"),
  },
];

describe.skipIf(!requireRoot("handover"))("a takeover that goes wrong", () => {
  test.each(STAGES)("killed when $stage: the other never noticed", async (one) => {
    const first = await started(one.document);
    await flow();
    const second = fabric.start("h1", "--takeover");
    await until(one.stage, 10_000, () => one.reached(second));
    second.kill("SIGKILL");
    await second.exited;
    await passed(100);
    // A slow observer kills it when all is over; what programs carry survives that too.
    const survived = (await fabric.status("h1"))?.state === "ready";
    fabric.start("h1", "--takeover");
    await first.exited;
    await fabric.ready(["h1"], 1);
    const counts = await lost();
    if (survived || one.document === UDP) expect(counts).toEqual([0, 0]);
  });

  test("from one that hangs: it is killed, and nothing is lost", async () => {
    const first = await started(UDP6);
    await flow();
    first.kill("SIGSTOP");
    fabric.start("h1", "--takeover");
    expect(await first.exited).not.toBe(0);
    await fabric.ready(["h1"], 1);
    expect(await lost()).toEqual([0, 0]);
    expect(fabric.logs("h1")).toContain("does not end: killed");
  });

  test("while the configuration changes: the new one follows", async () => {
    const first = await started(UDP);
    const second = fabric.start("h1", "--takeover");
    await until("it has the descriptors", 10_000, () => openFiles(second).includes("/dev/net/tun"));
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
    const first = await started(document);
    const second = fabric.start("h1", "--takeover");
    await until("it has the descriptors", 10_000, () => openFiles(second).includes("/dev/net/tun"));
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
    const first = await started(UDP);
    await flow();
    const others = [fabric.start("h1", "--takeover"), fabric.start("h1", "--takeover")];
    expect(await first.exited).toBe(0);
    expect(await Promise.race(others.map((agent) => agent.exited))).toBe(1);
    await until("h1 is ready", 10_000, async () => (await fabric.status("h1"))?.state === "ready");
    expect(await lost()).toEqual([0, 0]);
    expect(fabric.logs("h1")).toMatch(/heddle: another agent manages this network namespace/);
    // The fabric ends only the one that it started last.
    for (const agent of others) agent.kill("SIGKILL");
  });

  test("without the log: from the snapshot", async () => {
    const first = await started(UDP);
    await flow();
    const { head } = (await fabric.status("h1"))?.seq ?? { head: 0 };
    await until("the snapshot is written", 5000, () => fabric.snapshotSeq("h1") === head);
    await fabric.log.freeze();
    fabric.start("h1", "--takeover");
    await first.exited;
    expect(await lost()).toEqual([0, 0]);
    fabric.log.thaw();
    await fabric.ready(["h1"], 1);
  });

  test("by one that cannot do the other's work: the other goes on", async () => {
    const first = await started(UDP);
    await flow();
    const stranger = fabric.start("h1", "--takeover", "--node", "nobody", "--fabric", "elsewhere");
    expect(await stranger.exited).toBe(1);
    expect(first.exitCode).toBeNull();
    expect(await lost()).toEqual([0, 0]);
    expect(fabric.logs("h1")).toMatch(/heddle: the agent that runs here \(pid \d+\) goes on/);
    first.kill("SIGTERM");
    await first.exited;
  });

  test("from nobody is a plain start", async () => {
    const first = await started(UDP);
    first.kill("SIGTERM");
    await first.exited;
    fabric.start("h1", "--takeover");
    await fabric.ready(["h1"], 1);
    expect(fabric.logs("h1")).not.toContain("taking over");
  });
});

/** TCP as fast as it goes in both directions; resolves with the exit codes when it is over. */
function fullLoad(seconds: number): Promise<number[]> {
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
    const first = await started(document);
    const over = fullLoad(4);
    await passed(5000);
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
      const first = await started(UDP);
      await flow();
      const counted = (await fabric.status("h1"))?.tunnel?.peers[0]?.txPackets ?? 0;
      first.kill(signal);
      await first.exited;
      await passed(100);
      fabric.start("h1");
      await fabric.ready(["h1"], 1);
      expect(await lost()).toEqual([0, 0]);
      const [peer] = (await fabric.status("h1"))?.tunnel?.peers ?? [];
      expect(peer?.name).toBe("h2");
      expect(peer?.txPackets).toBeGreaterThan(counted + 100);
    },
  );
});
