import { expect, test } from "bun:test";
import fc from "fast-check";
import { ipBytes, ipFromBytes } from "../../src/events/address.ts";
import { errnoName, isGone } from "../../src/reconcilers/errno.ts";
import {
  ipText,
  ipToBytes,
  macText,
  macToBytes,
} from "../../src/reconcilers/kernel-netlink-text.ts";

const ipv4 = fc.uint8Array({ minLength: 4, maxLength: 4 });
/** Mostly zeros, so that runs of zero groups of all kinds come up. */
const ipv6 = fc.array(fc.oneof(fc.constant(0), fc.nat(255)), { minLength: 16, maxLength: 16 });
const anyIp = fc.oneof(
  ipv4,
  ipv6.map((bytes) => Uint8Array.from(bytes)),
);

test("addresses have the canonical form of events/address.ts", () => {
  fc.assert(
    fc.property(anyIp, (bytes) => expect(ipText(bytes)).toBe(ipFromBytes(bytes))),
    {
      numRuns: 2000,
    },
  );
});

test("and are read back to the same bytes", () => {
  fc.assert(
    fc.property(anyIp, (bytes) => {
      const text = ipFromBytes(bytes);
      expect(ipToBytes(text)).toEqual(ipBytes(text));
    }),
    { numRuns: 2000 },
  );
});

test("MAC addresses are lower case with leading zeros", () => {
  expect(macText(Uint8Array.of(2, 0, 0xab, 0xc, 255, 1))).toBe("02:00:ab:0c:ff:01");
  expect(macToBytes("02:00:ab:0c:ff:01")).toEqual(Uint8Array.of(2, 0, 0xab, 0xc, 255, 1));
});

test("only errors that mean absence make a removal done", () => {
  const gone = Array.from({ length: 134 }, (_, errno) => errno).filter(isGone);
  expect(gone.map(errnoName)).toEqual(["ENOENT", "ESRCH", "ENODEV", "EADDRNOTAVAIL"]);
  expect(errnoName(199)).toBe("errno 199");
});
