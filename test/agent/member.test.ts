import { describe, expect, test } from "bun:test";
import { type Identity, memberOf, sameMember } from "../../src/agent/member.ts";
import type { Underlay } from "../../src/agent/underlay.ts";
import { eventData } from "../../src/events/event-schema.ts";
import { parseNetworkConfig } from "../../src/events/network-config.ts";
import { vtepMac } from "../../src/events/vtep-mac.ts";
import { history } from "../support/history.ts";

const self: Identity = {
  fabric: "t",
  node: "h1",
  instance: "boot",
  version: "1",
  ipMasq: true,
  publicIp: null,
  publicIpv6: null,
};
const underlay: Underlay = {
  dev: "eth0",
  mtu: 1500,
  local: "198.18.0.1",
  localv6: "2001:db8::1",
  onlink: ["198.18.0.0/24"],
};
const four = { Network: "10.5.0.0/16" };
const six = { EnableIPv4: false, EnableIPv6: true, IPv6Network: "fd00:5::/48" };

function announced(document: object, part: Partial<Identity> = {}, under = underlay) {
  const parsed = parseNetworkConfig(document);
  if (!parsed.ok) throw new Error(parsed.reason);
  return memberOf(parsed.config, under, { ...self, ...part }, ["offload"]);
}

describe("a node announces", () => {
  test("what its packet path can do, where there is one", () => {
    expect(announced(four).capabilities).toEqual([]);
    expect(announced({ ...four, Backend: { Type: "udp" } })).toMatchObject({
      backend: "udp",
      vtepMac: null,
      capabilities: ["offload"],
    });
  });

  test("what the log takes, also of a host whose address is on the loopback", () => {
    const member = announced(four, {}, { ...underlay, dev: "lo", mtu: 65_536 });
    expect(eventData.NodeJoined.safeParse(member).error?.message).toBeUndefined();
  });

  test("addresses and MACs of the fabric's families only", () => {
    expect(announced(four)).toMatchObject({
      publicIp: "198.18.0.1",
      publicIpv6: null,
      vtepMac: vtepMac("t", "h1", "ipv4"),
      vtepMacV6: null,
      backend: "vxlan",
      ipMasq: true,
    });
    expect(announced(six)).toMatchObject({
      publicIp: null,
      publicIpv6: "2001:db8::1",
      vtepMac: null,
      vtepMacV6: vtepMac("t", "h1", "ipv6"),
    });
  });

  test("in a flat segment the family of the underlay, whatever the containers speak", () => {
    const flat = announced({ ...four, Backend: { Mode: "multicast", Group: "ff05::1" } });
    expect(flat).toMatchObject({
      publicIp: null,
      publicIpv6: "2001:db8::1",
      vtepMac: null,
      vtepMacV6: vtepMac("t", "h1", "ipv6"),
    });
    const dual = { ...six, ...four, EnableIPv4: true, Backend: { Mode: "head-end" } };
    expect(announced(dual)).toMatchObject({ publicIp: "198.18.0.1", publicIpv6: null });
  });

  test("the public address it was told, and beside it the one that packets leave from", () => {
    const member = announced(four, { publicIp: "203.0.113.1" });
    expect(member.publicIp).toBe("203.0.113.1");
    expect(member.underlay.local).toBe("198.18.0.1");
  });

  test("no MAC when there is no tunnel", () => {
    expect(announced({ ...four, Backend: { Type: "host-gw" } }).vtepMac).toBeNull();
  });

  test("nothing that the log would refuse, however many prefixes are on the link", () => {
    const onlink = Array.from({ length: 300 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24`);
    const member = announced(four, {}, { ...underlay, onlink });
    expect(eventData.NodeJoined.safeParse(member).success).toBe(true);
  });
});

describe("what a node announced is still so", () => {
  test("as the fold keeps it, with all that the fold adds", () => {
    const member = announced(four);
    const node = history("t").config(four).join("h1", member).state().nodes.get("h1");
    if (node === undefined) throw new Error("not joined");
    expect(sameMember(node, member)).toBe(true);
  });

  test.each([
    ["instance", { instance: "other" }],
    ["publicIp", { publicIp: "198.18.0.2" }],
    ["publicIpv6", { publicIpv6: "2001:db8::2" }],
    ["vtepMac", { vtepMac: null }],
    ["vtepMacV6", { vtepMacV6: "02:00:00:00:00:01" }],
    ["backend", { backend: "alloc" as const }],
    ["underlay device", { underlay: { ...underlay, dev: "eth1" } }],
    ["underlay MTU", { underlay: { ...underlay, mtu: 9000 } }],
    ["underlay address", { underlay: { ...underlay, local: null } }],
    ["underlay IPv6 address", { underlay: { ...underlay, localv6: null } }],
    ["prefixes on the link", { underlay: { ...underlay, onlink: [] } }],
    ["masquerading", { ipMasq: false }],
    ["capabilities", { capabilities: ["x"] }],
    ["version", { version: "2" }],
  ])("unless its %s changed", (_, change) => {
    const { onlink, ...rest } = underlay;
    const member = { ...announced(four), underlay: { ...rest, onlink: [...onlink] } };
    expect(sameMember(member, { ...member })).toBe(true);
    expect(sameMember(member, { ...member, ...change } as typeof member)).toBe(false);
  });
});
