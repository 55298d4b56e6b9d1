// Entries on demand with the real program: who talks to whom comes into the log, any machine can
// replay which entries a host holds, and a killed agent takes none of them along.

import { expect, test } from "bun:test";
import { type TestFabric, until, withFabric } from "../support/fabric.ts";
import { requireRoot } from "../support/netns.ts";
import { pingStream } from "../support/ping-stream.ts";

const NAMES = ["h1", "h2", "h3"];
const CONFIG = { Network: "10.5.0.0/16", Backend: { Type: "vxlan", Mode: "on-miss" } };

/** Gateways of the peers that a host's kernel has entries for. */
function held(fabric: TestFabric, name: string): string[] {
  const neighs = fabric.ip(name, "neigh show dev heddle.1 nud permanent");
  return neighs.map(({ dst }) => String(dst)).sort();
}

/** The same by the log alone, at a sequence. */
function told(fabric: TestFabric, name: string, at: number): string[] {
  const ran = fabric.heddle("plan", "--node", name, "--at", String(at), "--format", "json");
  const { kernel } = JSON.parse(ran.out) as { kernel: { neighs: { ip: string }[] } };
  return kernel.neighs.map(({ ip }) => ip).sort();
}

test.skipIf(!requireRoot("entries on demand"))(
  "who talks to whom is in the log, replays, and outlives the agent",
  () =>
    withFabric({ hosts: NAMES.length }, async (fabric) => {
      await fabric.init(CONFIG);
      for (const name of NAMES) fabric.start(name);
      await fabric.ready(NAMES, NAMES.length - 1);
      expect(held(fabric, "h1")).toEqual([]);
      const before = fabric.head();

      const [one, two] = [fabric.container("h1"), fabric.container("h2")];
      expect(fabric.ping(one, two)).toBe(true);
      expect(held(fabric, "h1")).toHaveLength(1);
      // The way back is an entry of the other host's own.
      expect(held(fabric, "h2")).toHaveLength(1);
      const missed = () =>
        fabric.events().filter(({ type, seq }) => type === "NeighborMissed" && seq > before);
      await until("both tell of it", 5000, () => missed().length === 2);
      for (const { subject, verdict } of missed()) {
        expect(subject).toMatch(/^heddle\.default\.node\.h[12]\.miss$/);
        expect(verdict.kind).toBe("accepted");
      }
      const after = missed().at(-1)?.seq ?? 0;
      expect(told(fabric, "h1", before)).toEqual([]);
      expect(told(fabric, "h1", after)).toEqual(held(fabric, "h1"));
      expect(told(fabric, "h3", after)).toEqual([]);
      const state = fabric.heddle("state", "--node", "h1").out;
      expect(state).toContain(`held         by h1: ${held(fabric, "h1")[0]}/24`);

      await survivesKill(fabric);
    }),
);

async function survivesKill(fabric: TestFabric): Promise<void> {
  const stream = pingStream(fabric, { from: "h1", to: "h2", args: "-i0.002" });
  const entries = held(fabric, "h1");
  await fabric.end("h1", "SIGKILL");
  expect(held(fabric, "h1")).toEqual(entries);
  fabric.start("h1");
  await fabric.ready(["h1"], NAMES.length - 1);
  expect(held(fabric, "h1")).toEqual(entries);
  const { misses } = (await fabric.status("h1")) ?? {};
  expect(misses).toMatchObject({ mode: "on-miss", held: 1, answered: 0 });
  const shown = fabric.exec(fabric.host("h1").netns, fabric.command("status", "h1"));
  expect(shown.out).toContain("on demand   on-miss: 1 held; 0 misses answered");
  expect(shown.out).toMatch(/h2 .* on-miss +applied/);
  const { sent, lost } = await stream.stop();
  expect(sent).toBeGreaterThan(10);
  expect(lost).toEqual([]);
}
