import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseNetworkConfig } from "../../src/events/network-config.ts";
import { inPool, poolSize, subnetAt } from "../../src/events/pool.ts";
import invalid from "../fixtures/network-config/invalid.json";
import valid from "../fixtures/network-config/valid.json";
import { config } from "../support/arbitraries.ts";

describe("a configuration is completed with every default", () => {
  test.each(valid)("$rule", ({ document, completed }) => {
    const parsed = parseNetworkConfig(document);
    expect(parsed).toMatchObject({ ok: true, document: completed });
    if (parsed.ok) expect(Object.keys(parsed.document)).toEqual(Object.keys(completed));
  });
});

describe("a configuration that cannot be is refused in one line that names the key", () => {
  test.each(invalid)("$reason", ({ document, reason }) => {
    expect(parseNetworkConfig(document)).toEqual({ ok: false, reason });
  });
});

test("a backend that is none is told from one that is not built yet", () => {
  const reason = (Type: string) => {
    const parsed = parseNetworkConfig({ Network: "10.5.0.0/16", Backend: { Type } });
    return parsed.ok ? "accepted" : parsed.reason;
  };
  expect(reason("vxlans")).toStartWith('Backend.Type: unknown backend "vxlans", expected vxlan,');
  expect(reason("gce")).toBe("Backend.Type: gce is not available yet");
});

test("a completed configuration is its own completion", () => {
  const documents = fc.oneof(config, fc.constantFrom(...valid.map(({ document }) => document)));
  fc.assert(
    fc.property(documents, (document) => {
      const once = parseNetworkConfig(document);
      if (!once.ok) throw new Error(once.reason);
      expect(parseNetworkConfig(once.document)).toEqual(once);
    }),
  );
});

test("anything is parsed or refused, never thrown at", () => {
  const keys = ["Network", "SubnetLen", "SubnetMin", "EnableIPv6", "IPv6Network", "Backend", "x"];
  const any = fc.oneof(
    fc.jsonValue(),
    fc.dictionary(fc.constantFrom(...keys), fc.oneof(fc.jsonValue(), fc.constant("10.5.0.0/16"))),
  );
  fc.assert(fc.property(any, (document) => typeof parseNetworkConfig(document).ok === "boolean"));
});

test("every subnet of a valid pool is in it, and the ones beside it are not", () => {
  for (const { completed } of valid) {
    const parsed = parseNetworkConfig(completed);
    if (!parsed.ok) throw new Error(parsed.reason);
    for (const pool of [parsed.config.ipv4, parsed.config.ipv6]) {
      if (pool === null) continue;
      const size = poolSize(pool);
      for (const index of [0n, size / 2n, size - 1n]) {
        expect(inPool(pool, subnetAt(pool, index))).toBe(true);
      }
      expect(inPool(pool, subnetAt(pool, size))).toBe(false);
    }
  }
});
