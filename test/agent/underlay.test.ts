import { describe, expect, test } from "bun:test";
import { chooseUnderlay, type UnderlayFlags } from "../../src/agent/underlay.ts";
import type { HostDevice, HostFacts } from "../../src/reconcilers/kernel.ts";

const device = (name: string, part: Partial<HostDevice> = {}): HostDevice => ({
  name,
  index: 2,
  kind: null,
  mtu: 1500,
  up: true,
  mac: null,
  alias: null,
  addresses: [],
  ...part,
});
const facts: HostFacts = {
  devices: [
    device("lo", { mtu: 65_536, addresses: ["127.0.0.1/8"] }),
    device("eth0", { addresses: ["198.18.0.1/24", "198.18.0.9/24", "2001:db8::1/64"] }),
    device("eth1", { mtu: 9000, addresses: ["10.0.0.1/16"] }),
    device("wan0", { up: false, addresses: ["203.0.113.1/24"] }),
    device("heddle.1", { alias: "heddle default", addresses: ["10.5.1.0/32"] }),
  ],
  defaultDevs: { ipv4: ["eth0", "eth1"], ipv6: ["eth0"] },
  onlink: [
    { dev: "eth0", prefix: "2001:db8::/64" },
    { dev: "eth0", prefix: "198.18.0.0/24" },
    { dev: "eth1", prefix: "10.0.0.0/16" },
  ],
};
const flags: UnderlayFlags = {
  by: { by: "default-route" },
  reachDev: null,
  publicIp: null,
  publicIpv6: null,
};
const choose = (part: Partial<UnderlayFlags> = {}, families: ("ipv4" | "ipv6")[] = ["ipv4"]) =>
  chooseUnderlay(facts, { ...flags, ...part }, families);
const chosen = (...args: Parameters<typeof choose>) => {
  const choice = choose(...args);
  return choice.ok ? [choice.underlay.dev, choice.underlay.local] : choice.reason;
};

test("without a flag it is the device of the first default route, with what is on its link", () => {
  expect(choose()).toEqual({
    ok: true,
    underlay: {
      dev: "eth0",
      mtu: 1500,
      local: "198.18.0.1",
      localv6: "2001:db8::1",
      onlink: ["198.18.0.0/24", "2001:db8::/64"],
    },
  });
});

describe("the underlay is chosen", () => {
  const cases: readonly (readonly [string, Partial<UnderlayFlags>, unknown])[] = [
    ["by name", { by: { by: "name", name: "eth1" } }, ["eth1", "10.0.0.1"]],
    [
      "by an address, which packets then leave from",
      { by: { by: "address", ip: "198.18.0.9" } },
      ["eth0", "198.18.0.9"],
    ],
    [
      "by a pattern on addresses, before names",
      { by: { by: "pattern", pattern: /^10\./ } },
      ["eth1", "10.0.0.1"],
    ],
    [
      "by a pattern on names",
      { by: { by: "pattern", pattern: /^eth\d$/ } },
      ["eth0", "198.18.0.1"],
    ],
    [
      "by where a route leads",
      { by: { by: "reach", ip: "10.0.9.9" }, reachDev: "eth1" },
      ["eth1", "10.0.0.1"],
    ],
    ["by who holds the public address", { publicIp: "10.0.0.1" }, ["eth1", "10.0.0.1"]],
    ["by the default route when nobody does", { publicIp: "192.0.2.1" }, ["eth0", "198.18.0.1"]],
  ];
  test.each(cases)("%s", (_, part, expected) => {
    expect(chosen(part)).toEqual(expected as string[]);
  });
});

test("a pattern never means a device of our own", () => {
  expect(chosen({ by: { by: "pattern", pattern: /^10\.5\.|heddle/ } })).toBe(
    "--iface: no device or address matches /^10\\.5\\.|heddle/",
  );
});

describe("without a usable underlay the reason names what is missing", () => {
  const cases: readonly (readonly [string, Partial<UnderlayFlags>])[] = [
    ["--iface: there is no device eth7", { by: { by: "name", name: "eth7" } }],
    ["--iface: no device has the address 192.0.2.1", { by: { by: "address", ip: "192.0.2.1" } }],
    ["--can-reach: no route to 192.0.2.1", { by: { by: "reach", ip: "192.0.2.1" } }],
    ["underlay device wan0 is down", { by: { by: "name", name: "wan0" } }],
  ];
  test.each(cases)("%s", (reason, part) => {
    expect(chosen(part)).toBe(reason);
  });

  test("an address of each family of the fabric is needed", () => {
    const eth1 = { by: { by: "name" as const, name: "eth1" } };
    expect(chosen(eth1, ["ipv6"])).toBe("underlay device eth1 has no IPv6 address");
    expect(chosen(eth1, ["ipv4", "ipv6"])).toBe("underlay device eth1 has no IPv6 address");
    expect(chosen({}, ["ipv4", "ipv6"])).toEqual(["eth0", "198.18.0.1"]);
  });

  test("no default route", () => {
    const choice = chooseUnderlay({ ...facts, defaultDevs: { ipv4: [], ipv6: [] } }, flags, [
      "ipv4",
    ]);
    expect(choice).toEqual({
      ok: false,
      reason: "no default route: name the underlay device with --iface",
    });
  });
});
