// The log is not the one that was followed: deleted, made again, rolled back, rolled back and
// written on. Every host freezes and says why, packets flow, no kernel changes whatever the wrong
// log says, and all go on by themselves when the right log is back, or when a person takes the
// present one.

import { expect, test } from "bun:test";
import { ip } from "../../src/cli/dev-netns.ts";
import { type TestFabric, until, withFabric } from "../support/fabric.ts";
import type { RawMessage } from "../support/nats-tool.ts";
import { requireRoot } from "../support/netns.ts";
import { Pinger } from "../support/pinger.ts";

const canRun = requireRoot("a damaged log");
const HOSTS = ["h1", "h2", "h3"];
const STREAM = "HEDDLE_DEFAULT";
const CONFIG = { Network: "10.5.0.0/16" };
const LIMIT_MS = 15_000;

test.concurrent.skipIf(!canRun)(
  "every host freezes on a damaged log and goes on when the right one is back",
  () => withFabric({ hosts: 3 }, surviveDamage),
);

test.concurrent.skipIf(!canRun)(
  "heddle resume takes the log that is there, and hosts keep their subnets",
  () => withFabric({ hosts: 3 }, acceptNewLog),
);

async function surviveDamage(fabric: TestFabric): Promise<void> {
  const older = await begin(fabric);
  const pings = Pinger.start(fabric.container("h1").netns, fabric.container("h2").ipv4);
  const before = HOSTS.map((name) => fabric.kernel(name));
  const freezes: string[] = [];

  for (const { why, harm } of damages(fabric, older)) {
    const good = await copyOfLog(fabric);
    await harm();
    await frozen(fabric, why);
    // An agent that starts now knows the log from its snapshot, and is no more taken in.
    await fabric.end("h3", "SIGKILL");
    fabric.start("h3");
    await frozen(fabric, why);
    freezes.push(...HOSTS);
    expect(HOSTS.map((name) => fabric.kernel(name))).toEqual(before);
    await fabric.log.stop();
    await fabric.log.restoreStore(good);
    await fabric.log.start();
    await fabric.ready(HOSTS, 2, LIMIT_MS);
    await reported(fabric, freezes);
  }

  expect(HOSTS.map((name) => fabric.kernel(name))).toEqual(before);
  const { sent, lost } = await pings.stop();
  expect(sent).toBeGreaterThan(500);
  expect(lost).toEqual([]);
}

/** Three hosts at work. Returns a copy of the store from before the third one was there. */
async function begin(fabric: TestFabric): Promise<string> {
  await fabric.init(CONFIG);
  for (const name of ["h1", "h2"]) fabric.start(name);
  await fabric.ready(["h1", "h2"], 1);
  const older = await copyOfLog(fabric);
  fabric.start("h3");
  await fabric.ready(HOSTS, 2, LIMIT_MS);
  // Without its snapshot a host that starts anew could not know that a log was ever there.
  await fabric.snapshots(["h3"], fabric.head());
  return older;
}

async function copyOfLog(fabric: TestFabric): Promise<string> {
  await fabric.log.stop();
  const copy = await fabric.log.copyStore();
  await fabric.log.start();
  return copy;
}

interface Damage {
  readonly why: RegExp;
  harm(): Promise<void>;
}

function damages(fabric: TestFabric, older: string): readonly Damage[] {
  const rollBack = async (): Promise<void> => {
    await fabric.log.stop();
    await fabric.log.restoreStore(older);
    await fabric.log.start();
  };
  return [
    {
      why: /^the stream is gone$/,
      harm: async () => {
        fabric.tool("", "delete-stream", STREAM);
      },
    },
    {
      why: /^the stream was recreated at /,
      harm: async () => {
        fabric.tool("", "delete-stream", STREAM);
        fabric.tool("", "make-stream", STREAM, "heddle.default.>");
        fabric.publish(lies());
      },
    },
    { why: /^the log went backwards: /, harm: rollBack },
    {
      why: /^the log was rewritten: sequence \d+ is not the one that was applied$/,
      harm: async () => {
        await rollBack();
        // Beyond what the hosts have applied, so that the length alone gives nothing away.
        const head = (await fabric.status("h1"))?.seq.applied ?? 0;
        while ((fabric.publish(lies()).at(-1) ?? 0) <= head);
      },
    },
  ];
}

/** Events that would take every route from every host, were they believed. */
function lies(): readonly RawMessage[] {
  return [
    raw("admin.config", "FabricConfigured", { config: { Network: "10.99.0.0/16" } }),
    ...HOSTS.map((node) => raw(`node.${node}.member`, "NodeLeft", { node, reason: "a lie" })),
  ];
}

function raw(where: string, type: string, data: object): RawMessage {
  const payload = JSON.stringify({ type, v: 1, id: `a lie: ${type}`, data });
  return { subject: `heddle.default.${where}`, base64: Buffer.from(payload).toString("base64") };
}

/** Frozen, and says so on every surface. */
async function frozen(fabric: TestFabric, why: RegExp): Promise<void> {
  await until(`all frozen: ${why}`, LIMIT_MS, async () => {
    const found = await Promise.all(HOSTS.map((name) => fabric.status(name)));
    return found.every((status) => status?.state === "frozen" && why.test(status.log.frozen ?? ""));
  });
  for (const name of HOSTS) {
    const { netns } = fabric.host(name);
    const shown = fabric.exec(netns, fabric.command("status", name));
    expect(shown.code).toBe(1);
    expect(shown.out).toContain("! frozen: ");
    const reason = /! frozen: (.*)/.exec(shown.out)?.[1] ?? "none";
    expect(fabric.logs(name)).toContain(`frozen seq=`);
    expect(fabric.logs(name)).toContain(reason);
  }
}

/** In the log that is good again: that each host was frozen, then that it is well. */
async function reported(fabric: TestFabric, freezes: readonly string[]): Promise<void> {
  const wanted = [...freezes].sort();
  const told = (type: string): string[] =>
    fabric
      .events()
      .filter((event) => event.type === type)
      .map(({ data }) => String(data?.node))
      .sort();
  await until("HostFrozen, then HostRecovered, of each", LIMIT_MS, () => {
    return told("HostRecovered").length === wanted.length;
  });
  expect(told("HostFrozen")).toEqual(wanted);
  expect(told("HostRecovered")).toEqual(wanted);
}

async function acceptNewLog(fabric: TestFabric): Promise<void> {
  await begin(fabric);
  // So that h2 holds another subnet than the one it would choose by itself.
  const first = await subnetOf(fabric, "h2");
  expect(fabric.heddle("lease", "revoke", first).code).toBe(0);
  await until("another subnet", LIMIT_MS, async () => {
    const second = await subnetOf(fabric, "h2");
    return second !== "none" && second !== first;
  });
  await fabric.ready(HOSTS, 2, LIMIT_MS);
  const before = await Promise.all(HOSTS.map((name) => subnetOf(fabric, name)));

  fabric.tool("", "delete-stream", STREAM);
  await frozen(fabric, /^the stream is gone$/);
  await fabric.init(CONFIG);
  await frozen(fabric, /^the stream was recreated at /);
  ip(fabric.host("h1").netns, `route del ${before[1]}`);
  for (const name of HOSTS) {
    const { netns } = fabric.host(name);
    const resumed = fabric.exec(netns, fabric.command("resume", name));
    expect(resumed).toMatchObject({ code: 0, err: "" });
  }
  await fabric.ready(HOSTS, 2, LIMIT_MS);
  expect(await Promise.all(HOSTS.map((name) => subnetOf(fabric, name)))).toEqual(before);
  expect(fabric.ip("h1", `-4 route show ${before[1]}`)).toHaveLength(1);
  const again = fabric.exec(fabric.host("h1").netns, fabric.command("resume", "h1"));
  expect(again.code).toBe(1);
  expect(again.err).toMatch(/^heddle: .*not frozen$/);
}

async function subnetOf(fabric: TestFabric, name: string): Promise<string> {
  return (await fabric.status(name))?.lease?.subnets[0] ?? "none";
}
