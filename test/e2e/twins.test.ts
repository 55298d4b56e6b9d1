// Two agents that claim to be one: the same name, the same address, the same namespace. The second
// is refused with one line and exit code 1, and the first does not notice; a host that was rebuilt
// is no twin of its former self.

import { expect, test } from "bun:test";
import { closeSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { addNetns, addVeth, deleteNetns, ip } from "../../src/cli/dev-netns.ts";
import { type TestFabric, until, withFabric } from "../support/fabric.ts";
import { requireRoot } from "../support/netns.ts";
import { Stopwatch } from "../support/stopwatch.ts";

const canRun = requireRoot("two agents that claim to be one");
const CONFIG = { Network: "10.5.0.0/16" };
const LIMIT_MS = 30_000;

interface Twin {
  readonly what: string;
  readonly flags: readonly string[];
  readonly refusal: RegExp;
  /** Before its agent starts. */
  prepare(fabric: TestFabric): void;
}

/** Host h3 is the twin of h1, which lives at 198.18.0.1. */
const TWINS: readonly Twin[] = [
  {
    what: "name",
    flags: ["--node", "h1"],
    refusal: /^heddle: the name h1 is in use by (?:a live agent \()?instance [-\w]+\)?$/,
    prepare: () => undefined,
  },
  {
    what: "underlay address",
    flags: ["--iface", "dum0"],
    refusal: /^heddle: 198\.18\.0\.1 belongs to h1$/,
    prepare: (fabric) => {
      const { netns } = fabric.host("h3");
      ip(netns, "link add dum0 type bridge");
      ip(netns, "addr add 198.18.0.1/32 dev dum0");
      ip(netns, "link set dum0 up");
    },
  },
  {
    what: "public address",
    flags: ["--public-ip", "198.18.0.1"],
    refusal: /^heddle: 198\.18\.0\.1 belongs to h1$/,
    prepare: () => undefined,
  },
];

for (const twin of TWINS) {
  test.concurrent.skipIf(!canRun)(
    `a second host with the same ${twin.what} is refused and the first is undisturbed`,
    () =>
      withFabric({ hosts: 3 }, async (fabric) => {
        await fabric.init(CONFIG);
        for (const name of ["h1", "h2"]) fabric.start(name);
        await fabric.ready(["h1", "h2"], 1);
        const before = ["h1", "h2"].map((name) => fabric.kernel(name));
        const lease = (await fabric.status("h1"))?.lease;

        twin.prepare(fabric);
        const second = fabric.start("h3", ...twin.flags);
        await until("the second has ended", LIMIT_MS, () => second.exitCode !== null);
        expect(second.exitCode).toBe(1);
        expectRefusal(fabric, "h3", twin.refusal);
        expect(fabric.ip("h3", "link show type vxlan")).toEqual([]);
        expect(fabric.ip("h3", "-4 route show proto 104")).toEqual([]);

        await fabric.ready(["h1", "h2"], 1);
        expect(["h1", "h2"].map((name) => fabric.kernel(name))).toEqual(before);
        expect((await fabric.status("h1"))?.lease).toEqual(lease);
        expect(fabric.logs("h1").trim().split("\n")).toHaveLength(1);
      }),
  );
}

test.concurrent.skipIf(!canRun)(
  "of two agents that start at one moment under one name, exactly one survives",
  () =>
    withFabric({ hosts: 3 }, async (fabric) => {
      await fabric.init(CONFIG);
      fabric.start("h3");
      await fabric.ready(["h3"], 0);
      const twins = ["h1", "h2"].map((name) => {
        const agent = fabric.start(name, "--node", "twin");
        return { name, agent };
      });
      const first = await Promise.race(
        twins.map(async ({ name, agent }) => ({ name, code: await agent.exited })),
      );
      const survivor = first.name === "h1" ? "h2" : "h1";
      expect(first.code).toBe(1);
      expectRefusal(fabric, first.name, /^heddle: the name twin is in use by .*$/);
      expect(fabric.ip(first.name, "-4 route show proto 104")).toEqual([]);
      await fabric.ready([survivor, "h3"], 1, LIMIT_MS);
      const joined = fabric.events().filter(({ type, verdict }) => {
        return type === "NodeJoined" && verdict.kind === "accepted";
      });
      expect(joined.map(({ data }) => String(data?.node))).toEqual(["h3", "twin"]);
    }),
);

test.concurrent.skipIf(!canRun)("a second agent in one network namespace is refused", () =>
  withFabric({ hosts: 1 }, async (fabric) => {
    await fabric.init(CONFIG);
    fabric.start("h1");
    await fabric.ready(["h1"], 0);
    const before = fabric.kernel("h1");
    const command = fabric.command("agent", "h1").map((word) => word.replace(".sock", "2.sock"));
    const state = ["--state-dir", join(fabric.dir, "other"), "--subnet-file", "/dev/null"];
    const log = ["--nats", fabric.dev.nats, "--node", "other", "--iface", "eth0"];
    const second = fabric.exec(fabric.host("h1").netns, [...command, ...log, ...state]);
    expect(second).toEqual({
      code: 1,
      out: "",
      err: "heddle: another agent manages this network namespace already",
    });
    await fabric.ready(["h1"], 0);
    expect(fabric.kernel("h1")).toEqual(before);
  }),
);

test.concurrent.skipIf(!canRun)(
  "a host whose namespace was rebuilt gets its name and its subnet back",
  () =>
    withFabric({ hosts: 2 }, async (fabric) => {
      await fabric.init(CONFIG);
      for (const name of ["h1", "h2"]) fabric.start(name);
      await fabric.ready(["h1", "h2"], 1);
      const before = await fabric.status("h1");
      await fabric.end("h1", "SIGKILL");
      rebuild(fabric, "h1");
      fabric.start("h1");
      const watch = new Stopwatch();
      await until("h1 is back", LIMIT_MS, async () => {
        return (await fabric.status("h1"))?.state === "ready";
      });
      // The former holder of the name has 6 s to show that it is alive.
      expect(watch.freeMs()).toBeLessThan(9000);
      const after = await fabric.status("h1");
      expect(after?.instance).not.toBe(before?.instance);
      expect(after?.lease?.subnets).toEqual(before?.lease?.subnets);
      await fabric.ready(["h1", "h2"], 1);
      expect(fabric.ping(fabric.container("h2"), fabric.container("h1"))).toBe(true);
    }),
);

/** One line says why; before it the log may say what is waited for. */
function expectRefusal(fabric: TestFabric, name: string, refusal: RegExp): void {
  const lines = fabric.logs(name).trim().split("\n");
  expect(lines.at(-1)).toMatch(refusal);
  const waiting = /WARNING problem reason="waiting to see whether instance /;
  expect(lines.slice(0, -1).filter((line) => !waiting.test(line))).toEqual([]);
}

/** As after a new installation of the machine: another kernel state, no files, the same address. */
function rebuild(fabric: TestFabric, name: string): void {
  const host = fabric.host(name);
  // The far end would go with the namespace, but not at once.
  ip(fabric.dev.switch, `link del ${name}`);
  // The number of a namespace that is gone is given to a new one, as soon as the kernel has cleared
  // up. Who has it open keeps its number from that.
  const former = openSync(`/run/netns/${host.netns}`, "r");
  deleteNetns(host.netns);
  rmSync(join(host.dir, "state"), { recursive: true, force: true });
  rmSync(host.subnetFile);
  addNetns(host.netns);
  closeSync(former);
  addVeth({ netns: fabric.dev.switch, dev: name }, { netns: host.netns, dev: "eth0" });
  ip(fabric.dev.switch, `link set ${name} master br0 up`);
  ip(host.netns, "link set eth0 up");
  ip(host.netns, `addr add ${host.ip}/24 dev eth0`);
}
