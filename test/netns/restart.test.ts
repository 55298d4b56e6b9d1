// An agent ends and comes back while packets flow: killed, stopped, replaced by another version.
// Not one packet is lost, the node is who it was, the kernel is not touched where it was right,
// and what left meanwhile is gone.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TestFabric } from "../support/fabric.ts";
import { KernelMonitor } from "../support/kernel-monitor.ts";
import { requireRoot } from "../support/netns.ts";
import { pingAll, subnetsOf, viewOf } from "../support/overlay.ts";
import { type Counted, pingFlood } from "../support/ping-stream.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const NAMES = ["h1", "h2", "h3"] as const;
const PEERS = NAMES.length - 1;
/** In each direction. */
const PACKETS = 100_000;
/** Lines about anything that an agent makes. */
const OURS = /heddle|proto 104|10\.5\.\d+\.0/;
const OTHER_VERSION = "99.1.0";

for (const type of ["vxlan", "host-gw"] as const) {
  describe.skipIf(!requireRoot("restart"))(`an agent comes back, ${type}`, () => {
    let fabric: TestFabric;
    let monitor: KernelMonitor;

    beforeAll(async () => {
      fabric = await TestFabric.create({ hosts: NAMES.length });
      await fabric.init({ Network: "10.5.0.0/16", Backend: { Type: type } });
      for (const name of NAMES) fabric.start(name);
      await fabric.ready(NAMES, PEERS);
      await pingAll(fabric, NAMES);
      monitor = await KernelMonitor.start(fabric, "h1");
    });

    afterAll(async () => {
      await monitor?.close();
      await fabric?.close();
    });

    // One after the other in one test, because the last steps take hosts away.
    test("nothing is lost, nothing is touched, and who left is gone", async () => {
      const before = held(fabric);
      const streams = [
        pingFlood(fabric, { from: "h1", to: "h2", packets: PACKETS }),
        pingFlood(fabric, { from: "h2", to: "h1", packets: PACKETS }),
      ];
      const times: string[] = [];
      for (const [how, signal, program] of [
        ["killed", "SIGKILL", null],
        ["stopped", "SIGTERM", null],
        ["upgraded", "SIGTERM", otherVersion(fabric.dir)],
      ] as const) {
        await fabric.end("h1", signal);
        const startMs = performance.now();
        if (program === null) fabric.start("h1");
        else fabric.startAs([program], "h1");
        await fabric.ready(["h1"], PEERS);
        times.push(`${how}: ready after ${(performance.now() - startMs).toFixed(0)} ms`);
        expect(held(fabric)).toEqual(before);
      }
      // A stream that was over before would prove nothing.
      expect(streams.map((stream) => stream.running())).toEqual([true, true]);
      const counts = await Promise.all(streams.map((stream) => stream.ended));
      tell(type, counts, times);
      expect(counts).toEqual(streams.map(() => ({ sent: PACKETS, lost: 0 })));

      await monitor.flushed();
      expect(monitor.lines(OURS)).toEqual([]);
      expect(versionOf(fabric, "h1")).toBe(OTHER_VERSION);
      await leaveMeanwhile(fabric);
      // The listener would have told: it tells of this.
      await monitor.flushed();
      expect(monitor.lines(OURS)).not.toEqual([]);
    });
  });
}

/** Two peers go while the agent of h1 is dead: one leaves, the other loses its subnet. */
async function leaveMeanwhile(fabric: TestFabric): Promise<void> {
  const own = subnetsOf(fabric.host("h1")).ipv4;
  const [left, revoked] = ["h3", "h2"].map((name) => subnetsOf(fabric.host(name)).ipv4);
  await fabric.end("h1", "SIGKILL");
  expect(fabric.down("h3").code).toBe(0);
  expect(fabric.heddle("lease", "revoke", revoked ?? "").code).toBe(0);
  await fabric.ready(["h2"], 1);
  fabric.start("h1");
  await fabric.ready(["h1"], 1);
  expect(subnetsOf(fabric.host("h1")).ipv4).toBe(own);
  const taken = subnetsOf(fabric.host("h2")).ipv4;
  expect([left, revoked]).not.toContain(taken);
  const { routes, neighs, fdb } = viewOf(fabric, "h1");
  expect(routes.map(({ dst }) => dst)).toEqual([taken]);
  expect(neighs.length).toBeLessThanOrEqual(1);
  expect(fdb.length).toBe(neighs.length);
}

function held(fabric: TestFabric): unknown {
  const subnetEnv = readFileSync(fabric.host("h1").subnetFile, "utf8");
  return { ...viewOf(fabric, "h1"), subnetEnv };
}

/** An installation of its own, as a package manager would leave it after an upgrade. */
function otherVersion(dir: string): string {
  const copy = join(dir, "other");
  mkdirSync(join(copy, "scripts"), { recursive: true });
  for (const path of ["src", "bin", "scripts/find-bun.sh"]) {
    cpSync(join(ROOT, path), join(copy, path), { recursive: true });
  }
  symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
  const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as object;
  const changed = JSON.stringify({ ...manifest, version: OTHER_VERSION });
  writeFileSync(join(copy, "package.json"), changed);
  return join(copy, "bin", "heddle");
}

function versionOf(fabric: TestFabric, name: string): string | undefined {
  const nodes = JSON.parse(fabric.heddle("nodes", "--json").out) as {
    node: string;
    version: string;
  }[];
  return nodes.find(({ node }) => node === name)?.version;
}

function tell(type: string, counts: readonly Counted[], times: readonly string[]): void {
  const packets = counts.map(({ sent, lost }) => `${lost} of ${sent} lost`).join(", ");
  console.log(`restarts (${type}): ${packets}; ${times.join(", ")}`);
}
