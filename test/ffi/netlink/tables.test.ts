// The tables against messages recorded from a kernel.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Decoded, DecodeError, decode } from "../../../src/ffi/layout.ts";
import { frames } from "../../../src/ffi/netlink/header.ts";
import { vxlan } from "../../../src/ffi/netlink/link.ts";
import { chain, nftables, rule } from "../../../src/ffi/netlink/nftables.ts";
import { fixtures, tables, toJson } from "../../support/netlink-fixtures.ts";

const recorded = fixtures();

/** The tables have different types; what is decoded by one is encoded by the same one. */
function reencode(noun: keyof typeof tables, payload: Uint8Array): Uint8Array {
  const table = tables[noun];
  const { header, attrs } = table.decode(payload) as Decoded<never, never>;
  return (table.encode as (h: object, a: object) => Uint8Array)(header, attrs);
}

describe("recorded messages", () => {
  test("there are some of each kind", () => {
    expect(new Set(recorded.map(({ noun }) => noun))).toEqual(
      new Set(["link", "addr", "neigh", "route", "nexthop"]),
    );
  });

  for (const { name, noun, command, payload, json } of recorded) {
    test(`${name} (${command}) decodes to its JSON`, () => {
      expect(toJson(tables[noun].decode(payload))).toEqual(json);
    });
    test(`${name} encodes back to the same bytes`, () => {
      expect(reencode(noun, payload).toHex()).toBe(payload.toHex());
    });
    test(`${name} cut anywhere decodes to less or is a DecodeError`, () => {
      for (let length = 0; length < payload.length; length += 1) {
        try {
          tables[noun].decode(payload.subarray(0, length));
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError);
        }
      }
    });
  }

  test("a vxlan device's own attributes are read by their table", () => {
    const device = recorded.find(({ name }) => name === "link/vxlan-ipv6-gbp");
    const link = tables.link.decode(device?.payload ?? new Uint8Array());
    const data = link.attrs.IFLA_LINKINFO?.IFLA_INFO_DATA ?? new Uint8Array();
    expect(decode(vxlan, data)).toMatchObject({
      IFLA_VXLAN_ID: 16_777_215,
      IFLA_VXLAN_PORT: 4789,
      IFLA_VXLAN_LEARNING: 1,
      IFLA_VXLAN_GBP: true,
      IFLA_VXLAN_LOCAL6: Uint8Array.fromHex("20010db8000000000000000000000001"),
    });
  });
});

describe("arbitrary bytes", () => {
  const input = fc.uint8Array({ maxLength: 200 });
  const onlyDecodeErrors = (work: (bytes: Uint8Array) => unknown) =>
    fc.assert(
      fc.property(input, (bytes) => {
        try {
          work(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError);
        }
      }),
      { numRuns: 500 },
    );

  for (const [noun, table] of Object.entries({ ...tables, nftables, chain, rule })) {
    test(`as ${noun} throw nothing but DecodeError`, () => onlyDecodeErrors(table.decode));
  }

  test("as a datagram throw nothing but DecodeError", () =>
    onlyDecodeErrors((bytes) => Array.from(frames(bytes))));

  test("with a recorded message's bytes changed throw nothing but DecodeError", () => {
    const change = fc.tuple(fc.constantFrom(...recorded), fc.nat(), fc.nat(255));
    fc.assert(
      fc.property(change, ([{ noun, payload }, at, value]) => {
        const changed = payload.slice();
        changed[at % changed.length] = value;
        try {
          tables[noun].decode(changed);
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
