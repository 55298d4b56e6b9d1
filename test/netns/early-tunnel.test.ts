// An agent that starts where one was killed, on the real kernel: it carries packets by the table
// that was kept, with its log away and its snapshot gone, so that nothing else can have told it;
// and it does not when anything is not as it was. IPv6 containers, which only the process itself
// carries.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { appendFileSync, existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { TestFabric, until } from "../support/fabric.ts";
import { requireRoot } from "../support/netns.ts";

const NAMES = ["h1", "h2"] as const;
const DOCUMENT = {
  ...{ EnableIPv4: false, EnableIPv6: true, IPv6Network: "fd00:10:5::/48" },
  Backend: { Type: "udp" },
};

const root = requireRoot("a tunnel before everything else");

let fabric: TestFabric;

const state = (file: string): string => join(fabric.host("h1").dir, "state", file);
const kept = (): boolean => existsSync(state("tunnel.json"));
const answers = (): boolean => fabric.ping(fabric.container("h1"), fabric.container("h2"));

function sh(command: string): void {
  const ran = fabric.exec(fabric.host("h1").netns, ["sh", "-ec", command]);
  if (ran.code !== 0) throw new Error(`${command}: ${ran.err}`);
}

/** A whole fabric, then h1 killed, its log away and its snapshot gone; `change` comes after. */
async function orphan(change: () => void): Promise<void> {
  await until("the table is kept", 5000, kept);
  await fabric.end("h1", "SIGKILL");
  await fabric.log.stop();
  rmSync(state("snapshot.json"), { force: true });
  change();
}

async function begun(...extra: string[]): Promise<void> {
  fabric.start("h1", ...extra);
  await until("the agent is there", 10_000, async () => (await fabric.status("h1")) !== null);
}

async function whole(): Promise<void> {
  await fabric.log.start();
  await fabric.ready(NAMES, 1);
  expect(answers()).toBe(true);
}

const CHANGES: readonly [what: string, change: () => void, extra: readonly string[]][] = [
  ["another command line", () => undefined, ["--log-level", "debug"]],
  ["a damaged file", () => appendFileSync(state("tunnel.json"), " "), []],
  ["a device without our mark", () => sh("ip link set heddle0 alias ''"), []],
];

describe.skipIf(!root)("a killed agent's successor", () => {
  beforeAll(async () => {
    fabric = await TestFabric.create({ hosts: NAMES.length });
    await fabric.init(DOCUMENT);
    for (const name of NAMES) fabric.start(name);
    await fabric.ready(NAMES, 1);
    for (const name of NAMES) fabric.container(name);
  });
  afterAll(async () => await fabric?.close());

  test("carries by what was kept, and goes on with it when the log is back", async () => {
    await orphan(() => undefined);
    expect(answers()).toBe(false);
    await begun();
    expect(answers()).toBe(true);
    expect((await fabric.status("h1"))?.state).toBe("starting");
    await whole();
    expect((await fabric.status("h1"))?.problems).toEqual([]);
  });

  test.each(CHANGES)("asks its log first after %s", async (_what, change, extra) => {
    await orphan(change);
    await begun(...extra);
    expect(answers()).toBe(false);
    await whole();
    // As all tests find it.
    await fabric.end("h1", "SIGTERM");
    fabric.start("h1");
    await fabric.ready(NAMES, 1);
  });

  test("makes no device where there is none", async () => {
    await orphan(() => sh("ip link del heddle0"));
    await begun();
    expect(fabric.ip("h1", "link show").some(({ ifname }) => ifname === "heddle0")).toBe(false);
    await whole();
  });

  test("touches nothing while another agent has the host", async () => {
    await until("the table is kept", 5000, kept);
    const second = fabric.exec(fabric.host("h1").netns, fabric.agent("h1"));
    expect(second.code).toBe(1);
    expect(second.err).toContain("another agent manages this network namespace already");
    expect(answers()).toBe(true);
    await fabric.ready(NAMES, 1);
  });
});
