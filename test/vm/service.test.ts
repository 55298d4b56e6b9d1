// The agent as a service of systemd, by the unit that docs/operations.md shows, on a distribution's
// kernel: started, restarted, killed, replaced by its successor and stopped, with packets flowing.

import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { TestFabric, until } from "../support/fabric.ts";
import {
  install,
  installService,
  journal,
  nextMain,
  processes,
  property,
  removeService,
  requireMachine,
} from "../support/machine.ts";
import { run } from "../support/netns.ts";
import { pingStream } from "../support/ping-stream.ts";
import type { Pinger } from "../support/pinger.ts";

setDefaultTimeout(300_000);

const BACKENDS = ["vxlan", "host-gw", "udp"] as const;

let fabric: TestFabric;
let streams: Pinger[] = [];

async function started(backend: string): Promise<string> {
  await fabric.init({ Network: "10.5.0.0/16", Backend: { Type: backend } });
  fabric.start("h2");
  run(["systemctl", "enable", "--now", "heddle"]);
  await fabric.ready(["h1", "h2"], 1, 60_000);
  for (const name of ["h1", "h2"]) fabric.container(name);
  return property("MainPID");
}

/** Slow enough for the 500 packets that wait in a TUN while an emulated agent starts. */
async function flow(): Promise<void> {
  const args = "-i 0.05 -W 20";
  streams = [
    pingStream(fabric, { from: "h1", to: "h2", args }),
    pingStream(fabric, { from: "h2", to: "h1", args }),
  ];
  await passed(20);
}

/** Waits until the container of h1 has received `packets` more. */
async function passed(packets: number): Promise<void> {
  const received = (): number => {
    const snmp = fabric.exec(fabric.container("h1").netns, ["cat", "/proc/net/snmp"]).out;
    return Number(/^Ip: \d+ \d+ (\d+)/m.exec(snmp)?.[1] ?? 0);
  };
  const before = received();
  await until(`${packets} packets arrive`, 30_000, () => received() >= before + packets);
}

async function lost(): Promise<(readonly number[])[]> {
  await passed(20);
  const counts = await Promise.all(streams.splice(0).map((stream) => stream.stop()));
  return counts.map((count) => count.lost);
}

describe.skipIf(!requireMachine("the agent as a service"))("the agent as a service", () => {
  beforeEach(async () => {
    install();
    fabric = await TestFabric.create({ hosts: 2 });
    installService(fabric);
  });

  afterEach(async () => {
    await Promise.all(streams.splice(0).map((stream) => stream.stop()));
    removeService();
    await fabric.close();
  });

  test.each(BACKENDS)("%s: restarted, killed and replaced, it loses no packet", async (backend) => {
    let main = await started(backend);
    await flow();
    run(["systemctl", "restart", "heddle"]);
    main = await nextMain(fabric, main);
    expect(await lost()).toEqual([[], []]);

    await flow();
    run(["systemctl", "kill", "-s", "KILL", "heddle"]);
    main = await nextMain(fabric, main);
    expect(property("NRestarts")).toBe("1");
    expect(await lost()).toEqual([[], []]);

    await flow();
    for (let reload = 0; reload < 2; reload++) {
      run(["systemctl", "reload", "heddle"]);
      main = await nextMain(fabric, main);
      await until("the other is gone", 30_000, () => processes() === main);
      expect(property("ActiveState")).toBe("active");
    }
    expect(property("NRestarts")).toBe("1");
    run(["systemctl", "restart", "heddle"]);
    await nextMain(fabric, main);
    expect(await lost()).toEqual([[], []]);
    expect(journal().filter((line) => line.includes('"taken over"'))).toHaveLength(2);
  });

  test("stopped, it leaves the kernel as it is and the service is not failed", async () => {
    await started("vxlan");
    await flow();
    run(["systemctl", "stop", "heddle"]);
    expect([property("ActiveState"), property("Result")]).toEqual(["inactive", "success"]);
    expect(await lost()).toEqual([[], []]);
  });

  test("the journal holds one JSON object per line, beside what systemd says", async () => {
    await started("vxlan");
    const own = journal().filter((line) => line.startsWith("{"));
    const messages = own.map((line) => (JSON.parse(line) as { msg: string }).msg);
    expect(messages).toContain("ready");
    const others = journal().filter((line) => !line.startsWith("{"));
    expect(others).toEqual(["Started heddle.service - Heddle agent."]);
  });
});
