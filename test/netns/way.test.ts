// A way between two hosts that swallows large packets without a word, as a switch with a smaller
// MTU does: nothing in band tells, `heddle doctor` does.

import { afterEach, describe, expect, test } from "bun:test";
import { TestFabric } from "../support/fabric.ts";
import { requireRoot } from "../support/netns.ts";

const NAMES = ["h1", "h2"] as const;
let fabric: TestFabric | null = null;

interface Report {
  readonly checks: readonly { readonly name: string; readonly [field: string]: unknown }[];
}

function way(of: TestFabric): unknown {
  const { netns } = of.host("h1");
  const log = ["--json", "--nats", of.dev.nats];
  const ran = of.exec(netns, [...of.command("doctor", "h1"), ...log]);
  return (JSON.parse(ran.out) as Report).checks.find(({ name }) => name === "way-mtu");
}

describe.skipIf(!requireRoot("the way between hosts"))("doctor on the way between hosts", () => {
  afterEach(async () => {
    await fabric?.close();
    fabric = null;
  });

  test.each(["udp", "vxlan"])("%s: tells one that swallows from one that carries", async (type) => {
    fabric = await TestFabric.create({ hosts: NAMES.length });
    await fabric.init({ Network: "10.5.0.0/16", Backend: { Type: type } });
    for (const name of NAMES) fabric.start(name);
    await fabric.ready(NAMES, 1);
    const found = "1 of 1 peers answer large packets, 0 none at all";
    expect(way(fabric)).toMatchObject({ result: "ok", found });
    const chain = "chain in { type filter hook ingress device eth0 priority 0;";
    const table = `table netdev narrow { ${chain} ip length > 1499 drop; }; }`;
    const { netns } = fabric.host("h2");
    expect(fabric.exec(netns, ["sh", "-ec", `echo '${table}' | nft -f -`]).code).toBe(0);
    expect(way(fabric)).toMatchObject({
      result: "fail",
      found: "packets of the underlay's size vanish, small ones pass: h2 (198.18.0.2)",
    });
  });
});
