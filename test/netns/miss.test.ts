// Entries on demand on the real kernel: the first packet to a peer waits and arrives, whoever sends
// it and however many there are; what nobody owns is refused at once; what is idle goes.

import { afterEach, describe, expect, test } from "bun:test";
import { Everyone, type EveryoneOptions } from "../support/everyone.ts";
import { until } from "../support/fabric.ts";
import { requireRoot } from "../support/netns.ts";

const V4 = { Network: "10.5.0.0/16" };
const ON_MISS = { Type: "vxlan", Mode: "on-miss" };

let open: Everyone | null = null;
afterEach(async () => {
  await open?.close();
  open = null;
});

async function given(peers: number, options: EveryoneOptions): Promise<Everyone> {
  open = new Everyone(options);
  await open.populate(peers);
  await open.start();
  open.attach();
  return open;
}

describe.skipIf(!requireRoot("entries on demand"))("entries on demand", () => {
  test("a fresh peer's first packet arrives", async () => {
    const it = await given(3, { config: { ...V4, Backend: ON_MISS } });
    expect(it.entries()).toEqual({ neighs: [], fdb: [] });
    const [subnet = ""] = it.state().leases.get("h2")?.subnets ?? [];
    const target = subnet.replace(".0/24", ".9");
    const out = await it.ping("-c1", "-W4", target);
    expect(out).toContain("1 received");
    console.log(out, it.agent.status());
    expect(it.entries().neighs).toHaveLength(1);
    await until("said", 4000, () => it.events("NeighborMissed").length > 0);
    console.log(JSON.stringify(it.events("NeighborMissed")));
  });
});
