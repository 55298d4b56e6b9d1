import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  attrs,
  type Codec,
  DecodeError,
  decode,
  encode,
  flag,
  i32,
  message,
  raw,
  struct,
  text,
  u8,
  u16,
  u16be,
  u32,
} from "../../src/ffi/layout.ts";

const hex = (bytes: Uint8Array) => bytes.toHex();
const bytes = (text: string) => Uint8Array.fromHex(text.replaceAll(" ", ""));

const inner = attrs({ PORT: [1, u16be], ON: [2, flag] });
const table = attrs({
  ID: [1, u32],
  NAME: [2, text],
  LINK: [3, inner],
  RAW: [4, raw],
  TTL: [5, u8],
});

/** The four ways in which bytes and value have to agree. */
function agree<T>(codec: Codec<T>, value: T, wire: string): void {
  expect(hex(encode(codec, value))).toBe(wire.replaceAll(" ", ""));
  expect(decode(codec, bytes(wire))).toEqual(value);
  expect(decode(codec, encode(codec, value))).toEqual(value);
  expect(hex(encode(codec, decode(codec, bytes(wire))))).toBe(wire.replaceAll(" ", ""));
}

describe("values", () => {
  test("integers are little-endian unless marked", () => {
    agree(u8, 0xab, "ab");
    agree(u16, 0x1234, "3412");
    agree(u16be, 8472, "2118");
    agree(u32, 0xfffffffe, "feffffff");
    agree(i32, -2, "feffffff");
  });

  test("a number out of range is refused, not truncated", () => {
    for (const [codec, value] of [
      [u8, 256],
      [u8, -1],
      [u16, 65_536],
      [u32, 2 ** 32],
      [i32, 1.5],
    ] as const) {
      expect(() => encode(codec, value)).toThrow(RangeError);
    }
  });

  test("attributes are padded to four bytes and keep their order", () => {
    agree(table, { TTL: 7, ID: 1 }, "05000500 07000000 08000100 01000000");
    agree(table, { NAME: "eth0" }, "09000200 65746830 00000000");
    agree(table, { RAW: bytes("0102030405") }, "09000400 0102030405000000");
    agree(table, {}, "");
  });

  test("nests hold attributes of their own, and a flag is only there or not", () => {
    agree(table, { LINK: { PORT: 8472, ON: true } }, "10000300 06000100 21180000 04000200");
  });

  test("an unknown attribute survives with its type bits", () => {
    const wire = "05006380 07000000 08000100 01000000";
    const value = decode(table, bytes(wire));
    expect(Object.keys(value)).toEqual(["#32867", "ID"]);
    expect(hex(encode(table, value))).toBe(wire.replaceAll(" ", ""));
  });

  test("the nested bit does not hide a known attribute", () => {
    expect(decode(table, bytes("0c000380 06000100 21180000"))).toEqual({ LINK: { PORT: 8472 } });
  });

  test("an attribute nobody knows the number of is refused", () => {
    expect(() => encode(table, { NOPE: 1 } as never)).toThrow(RangeError);
  });

  test("a struct is as long as its fields, and what is left out is zero", () => {
    const header = struct({ family: u8, pad: u8, index: u16, flags: u32 });
    expect(header.size).toBe(8);
    const codec = message(header, table);
    const wire = codec.encode({ family: 2, flags: 1 }, { ID: 9 });
    expect(hex(wire)).toBe("0200000001000000" + "0800010009000000");
    expect(codec.decode(wire)).toEqual({
      header: { family: 2, pad: 0, index: 0, flags: 1 },
      attrs: { ID: 9 },
    });
  });
});

describe("bad input", () => {
  for (const [what, wire] of [
    ["an attribute header cut short", "0800"],
    ["an attribute shorter than its header", "03000100"],
    ["an attribute longer than the input", "0c000100 01000000"],
    ["an integer cut short", "06000100 01000000"],
    ["a nest with a broken inside", "08000300 09000100"],
  ]) {
    test(`${what} is a DecodeError`, () => {
      expect(() => decode(table, bytes(wire ?? ""))).toThrow(DecodeError);
    });
  }

  test("arbitrary bytes are decoded or are a DecodeError, nothing else", () => {
    const codec = message(struct({ family: u8, pad: u8, index: u16 }), table);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 96 }), (input) => {
        try {
          codec.decode(input);
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test("what was encoded is decoded to the same", () => {
    const value = fc.record(
      {
        ID: fc.nat(),
        NAME: fc.string().map((s) => s.replaceAll("\0", "")),
        LINK: fc.record(
          { PORT: fc.nat(65_535), ON: fc.constant(true as const) },
          { requiredKeys: [] },
        ),
        RAW: fc.uint8Array(),
        "#200": fc.uint8Array({ maxLength: 9 }),
      },
      { requiredKeys: [] },
    );
    fc.assert(fc.property(value, (v) => expect(decode(table, encode(table, v))).toEqual(v)));
  });
});
