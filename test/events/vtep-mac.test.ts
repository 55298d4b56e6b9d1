import { expect, test } from "bun:test";
import { parseMac } from "../../src/events/address.ts";
import { vtepMac } from "../../src/events/vtep-mac.ts";

test("stays what it was: peers have it in their tables", () => {
  expect(vtepMac("default", "h1", "ipv4")).toBe("be:25:52:79:95:ea");
  expect(vtepMac("default", "h1", "ipv6")).toBe("82:25:6c:79:90:94");
});

test("is local, unicast, and different for every node, family and fabric", () => {
  const seen = new Set<string>();
  for (let i = 0; i < 10_000; i++) {
    const mac = vtepMac("default", `node-${i}.example.net`, i % 2 === 0 ? "ipv4" : "ipv6");
    expect(parseMac(mac)).toBe(mac);
    expect(Number.parseInt(mac.slice(0, 2), 16) & 0b11).toBe(0b10);
    seen.add(mac);
  }
  expect(seen.size).toBe(10_000);
  expect(vtepMac("a", "h1", "ipv4")).not.toBe(vtepMac("b", "h1", "ipv4"));
});
