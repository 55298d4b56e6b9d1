import { expect, test } from "bun:test";
import { parseNetworkConfig } from "../../src/events/network-config.ts";
import { summaryOf } from "../../src/events/summary.ts";

function summary(document: unknown): string {
  const parsed = parseNetworkConfig(document);
  if (!parsed.ok) throw new Error(parsed.reason);
  return summaryOf({ type: "FabricConfigured", data: { config: { ...parsed.document } } });
}

test.each([
  [{}, "10.5.0.0/16 by /24 vxlan"],
  [{ Mode: "head-end" }, "10.5.0.0/16 by /24 vxlan head-end"],
  [{ Mode: "multicast", Group: "239.1.1.1" }, "10.5.0.0/16 by /24 vxlan multicast 239.1.1.1"],
  [{ Type: "host-gw" }, "10.5.0.0/16 by /24 host-gw"],
])("a configuration in a line names the mode unless it is the usual one: %j", (Backend, line) => {
  expect(summary({ Network: "10.5.0.0/16", Backend })).toBe(line);
});

test("a configuration that is no longer understood has a line all the same", () => {
  for (const Backend of [undefined, null, 7, "vxlan", [], { Type: 3, Mode: {} }]) {
    const config = { Network: "10.5.0.0/16", SubnetLen: 24, Backend };
    const line = summaryOf({ type: "FabricConfigured", data: { config } });
    expect(line).toBe("10.5.0.0/16 by /24");
  }
});
