// The pure parts of the answering thread: its table against a map, and the kernel's question in
// bytes that are whole, cut short or anything at all.

import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { RTM_GETNEIGH } from "../../src/ffi/netlink/constants.ts";
import { loadPure } from "../../src/ffi/tunnel-pure.ts";
import { nativeTestLibrary } from "../support/tunnel-build.ts";

const pure = loadPure(nativeTestLibrary());

/** Few gateways, so that they repeat, and of both families with the same bytes. */
const gateways = fc
  .tuple(fc.constantFrom(4, 16), fc.nat({ max: 60 }))
  .map(([length, n]) => new Uint8Array(length).fill(n % 7, 0, 2).fill(n, 3, 4));
const ways = fc
  .tuple(fc.constantFrom(4, 16), fc.nat({ max: 255 }))
  .map(([length, n]) => ({ mac: new Uint8Array(6).fill(n), dst: new Uint8Array(length).fill(n) }));
const rows = fc.record({ gateway: gateways, to: fc.option(ways) });

test("the table has what was put last, and nothing that was taken out", () => {
  fc.assert(
    fc.property(
      fc.array(rows, { maxLength: 300, size: "max" }),
      fc.array(gateways, { minLength: 1 }),
      (put, more) => {
        const model = new Map(put.map(({ gateway, to }) => [gateway.toHex(), to]));
        const asked = [...put.map(({ gateway }) => gateway), ...more];
        const addresses = new Uint8Array(asked.length * 17);
        for (const [i, gateway] of asked.entries()) {
          addresses[i * 17] = gateway.length === 4 ? 4 : 6;
          addresses.set(gateway, i * 17 + 1);
        }
        const expected = asked.map((gateway) => model.get(gateway.toHex()) ?? null);
        expect(pure.answers(put, addresses)).toEqual(expected);
      },
    ),
  );
});

/** RTM_GETNEIGH with NLM_F_REQUEST for 10.5.7.0 on device 9, as neigh_app_ns sends it. */
const QUESTION = Uint8Array.fromHex(
  "340000001e0001000000000000000000" +
    "020000000900000001000001" +
    "080001000a050700" +
    "0800040000000000" +
    "0800030000000000",
);

function message(edit: (view: DataView) => void): Uint8Array {
  const bytes = QUESTION.slice();
  edit(new DataView(bytes.buffer));
  return bytes;
}

test("a question is a request for a neighbour that names its address", () => {
  const found = [{ index: 9, gateway: new Uint8Array([10, 5, 7, 0]), answered: null }];
  expect(pure.questions(QUESTION)).toEqual(found);
  expect(pure.questions(new Uint8Array([...QUESTION, ...QUESTION]))).toEqual([...found, ...found]);
  for (const other of [
    message((view) => view.setUint16(4, RTM_GETNEIGH + 1, true)),
    // An L2 miss.
    message((view) => view.setUint16(6, 0, true)),
    message((view) => view.setUint8(16, 7)),
    // No address, or one of another length.
    message((view) => view.setUint16(30, 5, true)),
    message((view) => view.setUint16(28, 7, true)),
    message((view) => view.setUint8(16, 10)),
  ]) {
    expect(pure.questions(other)).toEqual([]);
  }
});

test("no bytes are read beyond those that came", () => {
  const cut = fc.tuple(fc.nat({ max: QUESTION.length }), fc.nat(), fc.nat({ max: 255 }));
  fc.assert(
    fc.property(fc.oneof(cut, fc.uint8Array({ maxLength: 128 })), (input) => {
      const bytes = input instanceof Uint8Array ? input : QUESTION.slice(0, input[0]);
      if (!(input instanceof Uint8Array) && bytes.length > 0) {
        bytes[input[1] % bytes.length] = input[2];
      }
      for (const { gateway } of pure.questions(bytes)) expect([4, 16]).toContain(gateway.length);
    }),
    { numRuns: 1000 },
  );
});
