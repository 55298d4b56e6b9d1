// What is pulled out from under a udp host while packets flow: its device, its underlay, a peer's
// address, its port. They flow again within two seconds.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { TestFabric, until } from "../support/fabric.ts";
import { requireRoot } from "../support/netns.ts";
import { pingAll } from "../support/overlay.ts";
import { pingStream } from "../support/ping-stream.ts";
import { holdPort } from "../support/port-holder.ts";
import { Stopwatch } from "../support/stopwatch.ts";

const NAMES = ["h1", "h2", "h3"] as const;
const HEAL_MS = 2000;
const PING_MS = 5;

const UPHEAVALS = [
  { what: "the device deleted", at: "h1", run: "ip link del heddle0" },
  { what: "the device down", at: "h1", run: "ip link set heddle0 down" },
  {
    what: "the underlay down and up",
    at: "h1",
    run: "ip link set eth0 down; ip link set eth0 up",
  },
  {
    what: "a peer at another address",
    at: "h3",
    run: "ip addr del 198.18.0.3/24 dev eth0; ip addr add 198.18.0.33/24 dev eth0",
  },
  {
    what: "that peer back at its old address",
    at: "h3",
    run: "ip addr flush dev eth0; ip addr add 198.18.0.3/24 dev eth0",
  },
] as const;

describe.skipIf(!requireRoot("udp"))("a udp host under way", () => {
  let fabric: TestFabric;

  beforeAll(async () => {
    fabric = await TestFabric.create({ hosts: NAMES.length });
    await fabric.init({ Network: "10.5.0.0/16", Backend: { Type: "udp" } });
    for (const name of NAMES) fabric.start(name);
  });
  beforeEach(async () => {
    await fabric.ready(NAMES, NAMES.length - 1);
    await pingAll(fabric, NAMES);
  });
  afterAll(async () => await fabric?.close());

  test.each(UPHEAVALS)("$what: packets flow again within two seconds", async (upheaval) => {
    const { what, at, run } = upheaval;
    const stream = pingStream(fabric, { from: "h1", to: "h3", args: `-i ${PING_MS / 1000}` });
    await flowing(fabric);
    const watch = new Stopwatch();
    const ran = fabric.exec(fabric.host(at).netns, ["sh", "-ec", run]);
    expect(ran).toMatchObject({ code: 0, err: "" });
    await flowing(fabric);
    const { sent, lost } = await stream.stop();
    const gapMs = lost.length * PING_MS;
    console.log(`udp, ${what}: gap ${gapMs} ms`);
    expect(sent).toBeGreaterThan(lost.length);
    expect(gapMs).toBeLessThan(HEAL_MS + watch.waitedMs());
  });

  test("a stranger on its port: told, and over within two seconds of its end", async () => {
    await fabric.end("h1", "SIGKILL");
    const stranger = await holdPort(fabric);
    try {
      fabric.start("h1");
      const words = "UDP 198.18.0.1 port 8285: taken by another process";
      await until("h1 says so", 10_000, async () => {
        return (await fabric.status("h1"))?.problems.some((line) => line.includes(words)) ?? false;
      });
    } finally {
      await stranger.release();
    }
    const answers = async (): Promise<boolean> => {
      const ping = ["ping", "-c1", "-W0.2", fabric.container("h3").ipv4 ?? ""];
      return (await fabric.spawn(fabric.container("h1").netns, ping).exited) === 0;
    };
    const ms = await until("packets flow again", HEAL_MS, answers);
    console.log(`udp, a stranger on the port: flows ${ms.toFixed(0)} ms after its end`);
  });
});

/** Resolves when h1 has had a good number of packets from h3 from now on. */
async function flowing(fabric: TestFabric): Promise<void> {
  const received = async (): Promise<number> => {
    const peers = (await fabric.status("h1"))?.tunnel?.peers ?? [];
    return peers.find(({ name }) => name === "h3")?.rxPackets ?? 0;
  };
  let base = await received();
  await until("packets flow", 3 * HEAL_MS, async () => {
    const now = await received();
    // A new tunnel counts from zero.
    base = Math.min(base, now);
    return now > base + 100;
  });
}
