// The stable JSON of the commands that read, checked against its documented shape.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { z } from "zod";
import { TestNats } from "../support/nats.ts";
import { SAMPLE_HEAD, storeSample } from "./fabric.ts";
import { heddle, lines } from "./heddle.ts";

let nats: TestNats;

beforeAll(async () => {
  nats = await TestNats.start();
  const connection = await nats.connect("json");
  await connection.createStream(1);
  await storeSample(connection, "json");
});

afterAll(() => nats.close());

async function json(...args: string[]): Promise<readonly unknown[]> {
  const { code, out } = await heddle([...args, "--nats", nats.url, "--fabric", "json"]);
  expect(code).toBe(0);
  return lines(out).map((line) => JSON.parse(line));
}

const time = z.iso.datetime({ precision: 3 });
const verdict = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("accepted") }),
  z.strictObject({ kind: z.enum(["void", "quarantined"]), reason: z.string().min(1) }),
]);
const head = { seq: z.int(), time, subject: z.string().startsWith("heddle.json."), verdict };
const readable = z.strictObject({
  ...head,
  type: z.string(),
  v: z.literal(1),
  id: z.string(),
  by: z.null(),
  data: z.record(z.string(), z.unknown()),
});
const unreadable = z.strictObject({
  ...head,
  type: z.null(),
  v: z.null(),
  id: z.null(),
  by: z.null(),
  data: z.null(),
  raw: z.strictObject({ encoding: z.enum(["text", "base64"]), value: z.string(), bytes: z.int() }),
});

test("events --json is one object per line, with the raw payload where needed", async () => {
  const events = await json("events", "--json");
  expect(events.length).toBe(SAMPLE_HEAD);
  for (const event of events) z.union([readable, unreadable]).parse(event);
  expect(events[5]).toMatchObject({ seq: 6, verdict: { kind: "void" } });
  expect(events[9]).toMatchObject({
    raw: { encoding: "text", value: "\u001b[31mred\u0007", bytes: 9 },
  });
  expect(events[10]).toMatchObject({ raw: { encoding: "base64", value: "//4B", bytes: 3 } });
});

test("state --json is the whole state with its time", async () => {
  const [state] = await json("state", "--json", "--at", "5");
  const shape = z.object({
    fabric: z.literal("json"),
    seq: z.literal(5),
    time,
    config: z.object({ Network: z.literal("10.5.0.0/16") }),
    nodes: z.array(z.object({ node: z.string(), present: z.boolean() })).length(2),
    leases: z.array(z.object({ node: z.string(), subnets: z.array(z.string()) })).length(2),
    quarantine: z.object({ count: z.literal(0) }),
  });
  shape.parse(state);
});

test("nodes, leases and peers are arrays with stable names", async () => {
  const [nodes] = await json("nodes", "--json");
  const node = z.strictObject({
    node: z.string(),
    present: z.boolean(),
    subnets: z.array(z.string()),
    publicIp: z.string(),
    publicIpv6: z.null(),
    backend: z.literal("vxlan"),
    vtepMac: z.string(),
    vtepMacV6: z.string(),
    underlay: z.object({ dev: z.string(), mtu: z.int() }),
    ipMasq: z.boolean(),
    capabilities: z.array(z.string()),
    version: z.string(),
    joinedSeq: z.int(),
    updatedSeq: z.int(),
    heardAt: time,
  });
  z.array(node).length(2).parse(nodes);
  const [leases] = await json("leases", "--json");
  const lease = z.strictObject({
    state: z.enum(["leased", "reserved"]),
    subnets: z.array(z.string()).min(1),
    node: z.string(),
    epoch: z.int().nullable(),
    claimedSeq: z.int().nullable(),
    claimedAt: time.nullable(),
    renewedAt: time.nullable(),
    ttlSeconds: z.int().nullable(),
    expiresAt: time.nullable(),
    note: z.string().nullable(),
  });
  z.array(lease).length(2).parse(leases);
  const [peers] = await json("peers", "--json");
  expect(peers).toEqual([
    { name: "lb1", subnet: "10.9.0.0/24", publicIp: "198.18.9.9", vtepMac: "02:00:00:00:00:09" },
  ]);
});

test("plan --format json holds every object by noun", async () => {
  const [plan] = await json("plan", "--node", "h1", "--at", "5", "--format", "json");
  const many = z.array(z.record(z.string(), z.unknown())).min(1);
  const shape = z.strictObject({
    node: z.literal("h1"),
    seq: z.literal(5),
    time,
    device: z.strictObject({ name: z.literal("heddle.1"), mtu: z.literal(1450) }),
    problems: z.array(z.string()),
    peers: z.array(z.object({ node: z.literal("h2"), path: z.literal("vxlan") })).length(1),
    kernel: z.strictObject({
      links: many,
      addrs: many,
      routes: many,
      neighs: many,
      fdb: many,
      sysctls: many,
      rules: many,
      peers: z.tuple([]),
    }),
    subnetEnv: z.string().startsWith("FLANNEL_NETWORK=10.5.0.0/16\n"),
  });
  shape.parse(plan);
});

test("diff --json has both ends and every list, for the fabric and for one host", async () => {
  const [fabric] = await json("diff", "--from", "3", "--to", "9", "--json");
  expect(fabric).toMatchObject({
    from: { seq: 3 },
    to: { seq: 9 },
    config: [],
    nodes: { joined: [], left: [], changed: [] },
    leases: { gained: [], lost: [], moved: [] },
    reservations: { added: ["10.5.50.0/24"], removed: [] },
    peers: { added: [{ name: "lb1" }], removed: [], changed: [] },
  });
  const [host] = await json("diff", "--from", "3", "--to", "5", "--node", "h1", "--json");
  const op = z.strictObject({
    verb: z.literal("set"),
    noun: z.enum(["neigh", "fdb", "route"]),
    key: z.string(),
    command: z.string(),
  });
  const ends = { from: z.object({ seq: z.literal(3) }), to: z.object({ seq: z.literal(5) }) };
  const shape = z.strictObject({ node: z.literal("h1"), ...ends, ops: z.array(op).length(3) });
  const keys = shape.parse(host).ops.map(({ noun, key }) => `${noun} ${key}`);
  expect(keys).toContain("route 10.5.7.0/24 0");
  expect(keys).toContain("neigh heddle.1 10.5.7.0");
});
