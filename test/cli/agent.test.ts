// The commands of one host from beginning to end, in a network namespace with a log of its own:
// agent, init, status, doctor, down.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { usualMargin } from "../../src/cli/agent.ts";
import { makeNetns, type Netns, requireRoot } from "../support/netns.ts";
import { heddle, lines, type Ran, spawnHeddle } from "./heddle.ts";

test("the renewal margin is flannel's hour for a day, and more of shorter leases", () => {
  const ttls = [86_400, 604_800, 3600, 60, 10, 2];
  expect(ttls.map(usualMargin)).toEqual([3600, 3600, 150, 20, 3, 1]);
  for (const ttl of ttls) expect(usualMargin(ttl)).toBeLessThan(ttl);
});

const rooted = requireRoot("agent");
const hosted = test.if(rooted);
let dir: string;
let netns: Netns;
let agent: ReturnType<typeof spawnHeddle> | null;

beforeEach(async () => {
  if (!rooted) return;
  dir = await mkdtemp(join(tmpdir(), "heddle-agent-"));
  netns = makeNetns();
  netns.ip("link add u0 type veth peer name u1");
  for (const dev of ["u0", "u1"]) netns.ip(`link set ${dev} up`);
  netns.ip("addr add 198.18.0.1/24 dev u0");
  agent = null;
});

afterEach(async () => {
  if (!rooted) return;
  agent?.kill("SIGKILL");
  await agent?.exited;
  netns[Symbol.dispose]();
  await rm(dir, { recursive: true, force: true });
});

function options(stdin = "") {
  const env = {
    HEDDLE_FABRIC: "one",
    HEDDLE_NODE: "n1",
    HEDDLE_STATE_DIR: join(dir, "state"),
    HEDDLE_SOCKET: join(dir, "run", "s"),
    HEDDLE_SUBNET_FILE: join(dir, "subnet.env"),
  };
  return { env, netns: netns.name, stdin };
}

const run = (...args: string[]): Promise<Ran> => heddle(args, options());

async function ready(): Promise<void> {
  agent = spawnHeddle(
    ["agent", "--embedded-nats", "--iface", "u0", "--log-format", "json"],
    options(),
  );
  let made: Ran = { code: 3, out: "", err: "" };
  while (made.code === 3) {
    made = await heddle(["init", "--config", "-"], options('{"Network":"10.5.0.0/16"}'));
  }
  expect(made).toMatchObject({ code: 0 });
  expect((await run("status", "--wait=10s")).code).toBe(0);
}

hosted("status, wait, doctor and lists of a live agent", async () => {
  await ready();
  const { out } = await run("status", "--json");
  expect(JSON.parse(out)).toMatchObject({ node: "n1", fabric: "one", state: "ready" });
  expect((await run("status", "--brief")).out).toMatch(/^n1 ready, seq (\d+)\/\1, lease 10\.5\./);
  expect(lines((await run("status")).out)[0]).toMatch(/^node +n1 \(fabric one, heddle /);
  expect((await run("wait", "--seq", "3")).out).toBe("1 host has applied sequence 3\n");
  expect((await run("nodes", "--socket")).out).toBe((await run("nodes")).out);
  const doctor = await run("doctor");
  expect(lines(doctor.out).filter((line) => !line.startsWith("ok "))).toEqual([]);
  expect(doctor.code).toBe(0);
  const resume = await run("resume");
  expect(resume).toMatchObject({ code: 1, err: "heddle: agent: the agent is not frozen\n" });
  const second = await run("agent");
  expect(second).toMatchObject({ code: 1, out: "" });
});

hosted("down leaves, ends the agent and removes what is ours alone; twice is once", async () => {
  await ready();
  netns.ip("route add 10.99.0.0/24 dev u0");
  netns.ip("link add foreign type veth peer name foreign2");
  const down = await run("down", "--purge");
  expect(down).toMatchObject({ code: 0, err: "" });
  expect(lines(down.out)).toEqual([
    "left the fabric",
    "ip link del heddle.1",
    "nft 'add table inet heddle_one; delete table inet heddle_one'",
    `rm ${join(dir, "subnet.env")}`,
    `rm -r ${join(dir, "state")}`,
  ]);
  expect(await agent?.exited).toBe(0);
  const names = netns.ipJson("link show").map(({ ifname }) => ifname);
  expect(names.sort()).toEqual(["foreign", "foreign2", "lo", "u0", "u1"]);
  expect(netns.ip("route show")).toContain("10.99.0.0/24");
  expect(netns.exec(["nft", "list", "ruleset"])).toBe("");
  expect([existsSync(join(dir, "subnet.env")), existsSync(join(dir, "state"))]).toEqual([
    false,
    false,
  ]);
  const again = await run("down", "--purge");
  expect(again).toMatchObject({ code: 0, out: "" });
  expect(again.err).toContain("the lease will expire by itself");
});

hosted("down removes what a dead agent left, but no subnet.env of others", async () => {
  await ready();
  agent?.kill("SIGKILL");
  await agent?.exited;
  await Bun.write(join(dir, "subnet.env"), "FLANNEL_SUBNET=10.244.1.1/24\n");
  const down = await run("down");
  expect(down.code).toBe(0);
  expect(lines(down.out)[0]).toBe("ip link del heddle.1");
  expect(down.err).toMatch(/subnet\.env stays: /);
  expect(existsSync(join(dir, "subnet.env"))).toBe(true);
  expect(netns.ipJson("link show type vxlan")).toEqual([]);
});

hosted("SIGTERM ends the agent with 0, keeps the kernel, removes the socket", async () => {
  await ready();
  agent?.kill("SIGTERM");
  expect(await agent?.exited).toBe(0);
  expect(netns.ipJson("link show type vxlan")).toHaveLength(1);
  expect((await run("status")).code).toBe(3);
  const stderr = agent === null ? "" : await new Response(agent.stderr).text();
  for (const line of lines(stderr)) {
    expect(JSON.parse(line)).toMatchObject({
      ts: expect.any(String),
      level: expect.any(String),
      msg: expect.any(String),
      node: "n1",
      fabric: "one",
    });
  }
});
