import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { containsIp, fromNumber } from "../../src/events/address.ts";
import { initialState } from "../../src/events/state.ts";
import { fabricNetworks, isAllowed, refusalOf } from "../../src/http/webhook-address.ts";
import { history } from "../support/history.ts";

const NONE = { allow: [], own: [] };

/** From the IANA registries of special-purpose addresses, and RFC 1918, 4193, 5771. */
const SPECIAL = [
  ...["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"],
  ...["172.16.0.0/12", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"],
  ...["203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"],
  ...["::/128", "::1/128", "64:ff9b::/96", "100::/64", "2001:db8::/32", "2002::/16"],
  ...["fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"],
  // Not assigned to anything.
  ...["200::/7", "4000::/3", "8000::/3", "e000::/4"],
];

function addressIn(cidr: string): fc.Arbitrary<string> {
  const [base = "", length = ""] = cidr.split("/");
  const family = base.includes(":") ? "ipv6" : "ipv4";
  const bits = BigInt((family === "ipv6" ? 128 : 32) - Number(length));
  return fc
    .bigInt({ min: 0n, max: (1n << bits) - 1n })
    .map((host) => fromNumber(family, numberOf(base) + host));
}

function numberOf(ip: string): bigint {
  if (!ip.includes(":")) return ip.split(".").reduce((sum, part) => sum * 256n + BigInt(part), 0n);
  const [head = "", tail = ""] = ip.split("::");
  const groups = (text: string) => text.split(":").filter((group) => group !== "");
  const zeros = Array(8 - groups(head).length - groups(tail).length).fill("0") as string[];
  const all = ip.includes("::") ? [...groups(head), ...zeros, ...groups(tail)] : groups(ip);
  return all.reduce((sum, group) => sum * 65_536n + BigInt(`0x${group}`), 0n);
}

describe("what is refused", () => {
  test.each(SPECIAL)("any address of %s", (cidr) => {
    fc.assert(fc.property(addressIn(cidr), (ip) => refusalOf(ip, NONE) !== null));
  });

  test("an IPv4 address in any IPv6 clothes", () => {
    fc.assert(
      fc.property(addressIn("10.0.0.0/8"), (ip) => {
        const hex = numberOf(ip).toString(16).padStart(8, "0");
        const groups = `${hex.slice(0, 4)}:${hex.slice(4)}`;
        const forms = [`::ffff:${ip}`, `::ffff:${groups}`, `::${ip}`, `64:ff9b::${ip}`];
        return forms.every((form) => refusalOf(form, NONE) !== null);
      }),
    );
  });

  test("what is no address, and one of a zone", () => {
    for (const text of ["", "ci.example", "fe80::1%eth0", "::1%lo", "1.2.3.4.5"]) {
      expect([text, refusalOf(text, NONE)]).toEqual([text, expect.any(String)]);
    }
  });
});

test("any other address is not refused, unless it is of the fabric", () => {
  const anywhere = fc.oneof(addressIn("0.0.0.0/0"), addressIn("2600::/12"));
  fc.assert(
    fc.property(anywhere, (ip) => {
      // 192.0.0.0/24 and others of a few addresses are refused as well, and no loss.
      fc.pre(![...SPECIAL, "192.0.0.0/8", "2600::/128"].some((cidr) => containsIp(cidr, ip)));
      expect(refusalOf(ip, NONE)).toBeNull();
      const own = [ip.includes(":") ? "2600::/12" : "0.0.0.0/0"];
      expect(refusalOf(ip, { allow: [], own })).toContain("is of this fabric");
    }),
  );
});

test("what is allowed is allowed, whatever it is, and nothing beside it", () => {
  const policy = { allow: ["127.0.0.1/32", "fd00::/8"], own: ["127.0.0.0/8"] };
  for (const ip of ["127.0.0.1", "::ffff:127.0.0.1", "fd12::1"]) {
    expect([ip, refusalOf(ip, policy), isAllowed(ip, policy)]).toEqual([ip, null, true]);
  }
  for (const ip of ["127.0.0.2", "fc00::1"]) {
    expect([ip, typeof refusalOf(ip, policy), isAllowed(ip, policy)]).toEqual([
      ...[ip, "string", false],
    ]);
  }
});

test("the fabric's networks: pools, hosts, what they reach directly, peers", () => {
  expect(fabricNetworks(initialState("lab"))).toEqual([]);
  const story = history("t")
    .config({ Network: "10.5.0.0/16" })
    .join("h1")
    .append({
      type: "PeerAdded",
      data: { name: "lb", subnet: "10.9.0.0/24", publicIp: "203.0.113.9", vtepMac: null },
    });
  const state = story.state();
  const networks = fabricNetworks(state);
  const [node] = state.nodes.values();
  if (node === undefined) throw new Error("no node in the story");
  expect(networks).toEqual(
    expect.arrayContaining([
      ...[state.config?.ipv4?.network, `${node.publicIp}/32`, ...node.underlay.onlink],
      ...["10.9.0.0/24", "203.0.113.9/32"],
    ]),
  );
});
