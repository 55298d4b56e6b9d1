import { afterAll, beforeAll, expect, test } from "bun:test";
import { TestNats } from "../support/nats.ts";
import { storeSample } from "./fabric.ts";
import { heddle, spawnHeddle } from "./heddle.ts";

let nats: TestNats;

beforeAll(async () => {
  nats = await TestNats.start();
});

afterAll(() => nats.close());

/** A fabric with the sample in its log, and a way to show a host on its board. */
async function fabricWithBoard(fabric: string) {
  const connection = await nats.connect(fabric);
  await connection.createStream(1);
  await storeSample(connection, fabric);
  return (node: string, applied: number, state = "ready") => {
    const status = JSON.stringify({ node, state, seq: { applied, head: applied } });
    return connection.status.publish(node, new TextEncoder().encode(status));
  };
}

test("wait ends when the last live host has applied the sequence", async () => {
  const show = await fabricWithBoard("wait");
  await show("h1", 9);
  await show("h2", 4);
  const child = spawnHeddle([
    "wait",
    "--seq",
    "9",
    "--nodes",
    "2",
    "--nats",
    nats.url,
    "--fabric",
    "wait",
  ]);
  let over = false;
  const code = child.exited.finally(() => {
    over = true;
  });
  // It must not end by itself while h2 is behind. A busy machine takes a while to read the board.
  const early = await heddle([
    "wait",
    "--seq",
    "9",
    "--timeout",
    "2s",
    "--nats",
    nats.url,
    "--fabric",
    "wait",
  ]);
  expect(early).toMatchObject({ code: 1, out: "" });
  expect(early.err).toBe("heddle: sequence 9 is not applied after 2s: h2 is at 4\n");
  expect(over).toBe(false);
  await show("h2", 10);
  expect(await code).toBe(0);
  expect(await new Response(child.stdout).text()).toBe("2 hosts have applied sequence 9\n");
});

test("a host that said it stops is not waited for", async () => {
  const show = await fabricWithBoard("stops");
  await show("h1", 9);
  await show("h2", 1, "stopping");
  const ran = await heddle(["wait", "--seq", "9", "--nats", nats.url, "--fabric", "stops"]);
  expect(ran).toEqual({ code: 0, out: "1 host has applied sequence 9\n", err: "" });
});

test("too few live hosts is a failure that says how many", async () => {
  const show = await fabricWithBoard("few");
  await show("h1", 9);
  const ran = await heddle([
    "wait",
    "--seq",
    "9",
    "--nodes",
    "3",
    "--timeout",
    "2s",
    "--nats",
    nats.url,
    "--fabric",
    "few",
  ]);
  expect(ran.code).toBe(1);
  expect(ran.err).toContain("1 live hosts, 3 wanted");
});

test("status --wait that takes long says once what it waits for", async () => {
  const socket = "/nonexistent/heddle.sock";
  const ran = await heddle(["status", "--wait=2s", "--socket", socket]);
  const away = `agent at ${socket} cannot be reached: is it running?`;
  expect(ran).toEqual({ code: 3, out: "", err: `heddle: waiting: ${away}\nheddle: ${away}\n` });
});
