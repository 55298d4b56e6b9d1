// An agent under a service manager that keeps its descriptors (sd_notify(3), FDSTORE), by the
// packet path's threads, which are gone with the process: packets wait until the next one reads
// them.

import { afterEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { inside } from "../../src/cli/dev-netns.ts";
import { TestFabric, until } from "../support/fabric.ts";
import { requireRoot } from "../support/netns.ts";
import { pingStream } from "../support/ping-stream.ts";
import { nativeTool } from "../support/tunnel-build.ts";

const NETWORK = { EnableIPv4: false, EnableIPv6: true, IPv6Network: "fd00:10:5::/48" };
// Its programs know no IPv6
const THREADS = { ...NETWORK, Backend: { Type: "udp" } };
const NAMES = ["h1", "h2"];

let fabric: TestFabric;
let manager: Bun.Subprocess<"pipe", "pipe", "ignore">;
let said: string[];

/** h1's agent is the manager's, the other is the test's. */
async function started(): Promise<void> {
  fabric = await TestFabric.create({ hosts: 2 });
  await fabric.init(THREADS);
  fabric.start("h2");
  const command = [nativeTool("keeper"), join(fabric.dir, "notify.sock"), ...fabric.agent("h1")];
  manager = Bun.spawn([...inside(fabric.host("h1").netns, command)], {
    ...{ stdin: "pipe", stdout: "pipe", stderr: "ignore" },
  } as const);
  said = [];
  void listen(manager.stdout);
  await next();
  for (const name of NAMES) fabric.container(name);
}

async function listen(output: ReadableStream<Uint8Array>): Promise<void> {
  const decoder = new TextDecoder();
  for await (const bytes of output) {
    said.push(
      ...decoder
        .decode(bytes)
        .split("\n")
        .filter((line) => line !== ""),
    );
  }
}

/** Has the manager start the agent; resolves with its pid when it is ready. */
async function next(): Promise<number> {
  said.length = 0;
  manager.stdin.write("\n");
  await manager.stdin.flush();
  const line = await heard(/^started \d+/);
  await fabric.ready(NAMES, 1);
  return Number(line.split(" ")[1]);
}

async function heard(pattern: RegExp): Promise<string> {
  let line: string | undefined;
  await until(`the manager hears ${pattern}`, 10_000, () => {
    line = said.find((candidate) => pattern.test(candidate));
    return line !== undefined;
  });
  return line ?? "";
}

afterEach(async () => {
  manager.kill("SIGKILL");
  await manager.exited;
  await fabric.close();
});

describe.skipIf(!requireRoot("handover"))("an agent under a service manager", () => {
  test.each(["SIGKILL", "SIGTERM"] as const)(
    "%s: packets wait for the next one",
    async (signal) => {
      await started();
      const pid = Number((await heard(/^started/)).split(" ")[1]);
      await heard(/^kept 2$/);
      const args = "-i 0.01 -W 5";
      const streams = [
        pingStream(fabric, { from: "h1", to: "h2", args }),
        pingStream(fabric, { from: "h2", to: "h1", args }),
      ];
      await flowing();
      process.kill(pid, signal);
      await heard(/^ended$/);
      await next();
      await flowing();
      const counts = await Promise.all(streams.map((stream) => stream.stop()));
      expect(counts.map(({ lost }) => lost)).toEqual([[], []]);
      // The same ones again, and none beside them.
      await heard(/^kept 2$/);
      expect(said.filter((line) => /^kept/.test(line)).at(-1)).toBe("kept 2");
    },
  );

  test("tells it that a successor is the main process", async () => {
    await started();
    const socket = join(fabric.dir, "notify.sock");
    const command = ["env", `NOTIFY_SOCKET=${socket}`, ...fabric.agent("h1", "--takeover")];
    const successor = fabric.spawn(fabric.host("h1").netns, command);
    try {
      await heard(/^ended$/);
      expect(said.indexOf(`MAINPID=${successor.pid}`)).toBeLessThan(said.indexOf("ended"));
      expect(said).toContain(`MAINPID=${successor.pid}`);
      await fabric.ready(NAMES, 1);
    } finally {
      successor.kill();
      await successor.exited;
    }
  });

  test("leaves nothing with it when the tunnel is not wanted any more", async () => {
    await started();
    await heard(/^kept 2$/);
    await fabric.init({ ...NETWORK, Backend: { Type: "vxlan" } });
    await heard(/^kept 0$/);
    await fabric.ready(NAMES, 1);
  });
});

async function flowing(): Promise<void> {
  const packets = async (): Promise<number> =>
    (await fabric.status("h1"))?.tunnel?.peers[0]?.rxPackets ?? 0;
  const before = await packets();
  await until("packets flow", 10_000, async () => (await packets()) > before + 20);
}
