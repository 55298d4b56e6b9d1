import { expect, test } from "bun:test";
import fc from "fast-check";
import ipaddr from "ipaddr.js";
import {
  contains,
  containsIp,
  fromNumber,
  hostPrefix,
  ipBytes,
  ipFromBytes,
  networkAddress,
  overlaps,
  parseCidr,
  parseIp,
  parseMac,
  prefixOf,
  sizeOf,
  spanOf,
  toNumber,
} from "../../src/events/address.ts";
import { ipv4, prefix } from "../support/arbitraries.ts";

test.each([
  ["10.5.3.0", "10.5.3.0"],
  ["0.0.0.0", "0.0.0.0"],
  ["255.255.255.255", "255.255.255.255"],
  ["fd00::1", "fd00::1"],
  ["FD00:0:0::0001", "fd00::1"],
  ["::", "::"],
])("%s is the address %s", (text, canonical) => {
  expect(parseIp(text)).toBe(canonical);
});

test.each([
  "",
  "10.5",
  "10.5.3",
  "10.5.3.0.1",
  "010.5.3.0",
  "10.5.3.00",
  "10.5.3.256",
  "10.5.3.0 ",
  "0x0a.5.3.0",
  "10.5..3",
  ".5.3.0",
  "10.5.3.",
  "fe80::1%eth0",
  "fd00::1::2",
  "host",
])("%p is no address", (text) => {
  expect(parseIp(text)).toBeNull();
});

test("IPv4 is accepted exactly where a strict dotted quad is", () => {
  const text = fc.oneof(ipv4, fc.stringMatching(/^[0-9.]{1,16}$/), fc.string());
  fc.assert(
    fc.property(text, (candidate) => {
      if (candidate.includes(":")) return;
      const strict = ipaddr.IPv4.isValidFourPartDecimal(candidate);
      expect(parseIp(candidate)).toBe(strict ? candidate : null);
    }),
    { numRuns: 2000 },
  );
});

test.each([
  ["10.5.0.0/16", "10.5.0.0/16"],
  ["0.0.0.0/0", "0.0.0.0/0"],
  ["10.5.3.7/32", "10.5.3.7/32"],
  ["FD00::/64", "fd00::/64"],
])("%s is the prefix %s", (text, canonical) => {
  expect(parseCidr(text)).toBe(canonical);
  // A second look answers from memory.
  expect(parseCidr(text)).toBe(canonical);
});

test.each([
  "10.5.3.0",
  "10.5.3.1/24",
  "10.5.0.0/33",
  "10.5.0.0/016",
  "10.5.0.0/",
  "/24",
  "fd00::1/64",
  "fd00::/129",
  "10.5.0.0/16/8",
])("%p is no prefix", (text) => {
  expect(parseCidr(text)).toBeNull();
  expect(parseCidr(text)).toBeNull();
});

test("a MAC address is lower-cased; group and zero addresses are refused", () => {
  expect(parseMac("02:AB:cd:00:00:01")).toBe("02:ab:cd:00:00:01");
  for (const bad of ["01:00:5e:00:00:01", "00:00:00:00:00:00", "02:ab:cd:00:00", "2:b:c:0:0:1"]) {
    expect(parseMac(bad)).toBeNull();
  }
});

test("numbers and bytes give back the address they came from", () => {
  fc.assert(
    fc.property(prefix, (cidr) => {
      const ip = networkAddress(cidr);
      expect(parseCidr(cidr)).toBe(cidr);
      expect(parseIp(ip)).toBe(ip);
      expect(fromNumber(prefixOf(cidr).family, toNumber(ip))).toBe(ip);
      expect(ipFromBytes(ipBytes(ip))).toBe(ip);
      expect(parseCidr(hostPrefix(ip))).toBe(hostPrefix(ip));
    }),
  );
});

test("two prefixes overlap when they share an address", () => {
  fc.assert(
    fc.property(prefix, prefix, (a, b) => {
      const [one, other] = [prefixOf(a), prefixOf(b)];
      const shared =
        one.family === other.family &&
        (containsIp(a, networkAddress(b)) || containsIp(b, networkAddress(a)));
      expect(overlaps(one, other)).toBe(shared);
      expect(overlaps(other, one)).toBe(shared);
      expect(contains(one, one)).toBe(true);
    }),
  );
});

test("a span is of the prefix that is asked for, whichever was asked for before", () => {
  fc.assert(
    fc.property(fc.array(prefix, { maxLength: 3 }), fc.array(fc.nat(2)), (prefixes, asked) => {
      for (const which of asked) {
        const cidr = prefixes[which];
        if (cidr === undefined) continue;
        const { family, base, length } = prefixOf(cidr);
        const { first, last, ...rest } = spanOf(cidr);
        expect(rest).toEqual({ family });
        expect([BigInt(first), BigInt(last)]).toEqual([base, base + sizeOf(family, length) - 1n]);
      }
    }),
  );
});
