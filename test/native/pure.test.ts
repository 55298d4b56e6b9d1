// The pure parts of the packet path against the model in test/support/packet.ts. The same file runs
// with the sanitizer build when HEDDLE_NATIVE_TEST names it.

import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { loadPure } from "../../src/ffi/tunnel-pure.ts";
import {
  ACK,
  build,
  buildSuper,
  CWR,
  checksum,
  checksumsRight,
  concat,
  cut,
  FIN,
  hex,
  l3Length,
  type PacketSpec,
  PSH,
  VNET,
} from "../support/packet.ts";
import { nativeTestLibrary } from "../support/tunnel-build.ts";

const pure = loadPure(nativeTestLibrary());

const word = (max: number) => fc.integer({ min: 0, max });
const specs = fc.record({
  family: fc.constantFrom(4 as const, 6 as const),
  protocol: fc.constantFrom("tcp" as const, "udp" as const),
  from: word(3),
  to: word(3),
  sourcePort: word(0xffff),
  destinationPort: word(0xffff),
  tos: word(255),
  ttl: fc.integer({ min: 1, max: 255 }),
  dontFragment: fc.boolean(),
  id: word(0xffff),
  sequence: word(0xffffffff),
  ack: word(0xffffffff),
  flags: fc.constantFrom(ACK, ACK | PSH, ACK | 64, ACK | FIN | PSH, ACK | CWR),
  window: word(0xffff),
  options: fc.constantFrom(0, 12, 40).chain((n) => fc.uint8Array({ minLength: n, maxLength: n })),
  payload: fc.uint8Array({ minLength: 1, maxLength: 5000 }),
});
const sizes = fc.integer({ min: 1, max: 1500 });

function packets(result: Uint8Array[] | number): Uint8Array[] {
  if (typeof result === "number") throw new Error(`refused with ${result}`);
  return result;
}

/** What leaves the coalescer, back as packets: superpackets through the model of a device. */
function split(output: Uint8Array[]): Uint8Array[] {
  return output.flatMap((item) =>
    item[1] === 0 ? [item.slice(VNET)] : packets(pure.segment(item)),
  );
}

/** With DF the identification means nothing (RFC 6864), so merging need not keep it. */
function comparable(packet: Uint8Array): string {
  const copy = packet.slice();
  if ((copy[0] ?? 0) >> 4 === 4 && (copy[6] ?? 0) & 0x40) copy.fill(0, 4, 6).fill(0, 10, 12);
  return hex(copy);
}

function flowOf(packet: Uint8Array): string {
  const family = (packet[0] ?? 0) >> 4 === 4 ? 4 : 6;
  const l3 = l3Length(family);
  const addresses = family === 4 ? packet.slice(12, 20) : packet.slice(8, 40);
  return hex(concat(addresses, packet.slice(l3, l3 + 4), packet.slice(6, 7)));
}

function byFlow(list: readonly Uint8Array[]): Map<string, string[]> {
  const flows = new Map<string, string[]>();
  for (const packet of list) {
    const flow = flowOf(packet);
    flows.set(flow, [...(flows.get(flow) ?? []), comparable(packet)]);
  }
  return flows;
}

describe("checksum", () => {
  test("is right for every length and alignment up to 300 bytes", () => {
    const bytes = Uint8Array.from({ length: 400 }, (_, i) => (i * 151 + 7) & 255);
    for (let start = 0; start < 16; start++) {
      for (let length = 0; length <= 300; length++) {
        const part = bytes.slice(start, start + length);
        const found = pure.checksum(part);
        expect(((found & 255) << 8) | (found >> 8)).toBe(checksum(part));
      }
    }
  });

  test("is right for 64 KiB of ones, where sums overflow", () => {
    const ones = new Uint8Array(65535).fill(0xff);
    const found = pure.checksum(ones);
    expect(((found & 255) << 8) | (found >> 8)).toBe(checksum(ones));
  });
});

describe("segmentation", () => {
  test("gives the packets that the model gives, byte for byte", () => {
    fc.assert(
      fc.property(specs, sizes, (spec, size) => {
        fc.pre(spec.payload.length / size < 1400);
        const found = packets(pure.segment(buildSuper(spec, size))).map(hex);
        expect(found).toEqual(cut(spec, size).map((part) => hex(build(part))));
      }),
    );
  });

  test("of one packet completes its checksum as the model does", () => {
    fc.assert(
      fc.property(specs, (spec) => {
        const [found] = packets(pure.finish(buildSuper(spec, 1)));
        expect(hex(found ?? new Uint8Array())).toBe(hex(build(spec)));
      }),
    );
  });

  test("of arbitrary bytes refuses or makes well-formed packets", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const found = pure.segment(bytes);
        expect(typeof found === "number" ? found < 0 : found.every((p) => p.length >= 20)).toBe(
          true,
        );
      }),
    );
  });
});

const trains = fc.array(fc.tuple(specs, sizes, fc.boolean(), fc.boolean()), {
  minLength: 1,
  maxLength: 6,
});

/** Trains of several flows, interleaved or one after the other, some with a damaged packet. */
function shuffle(list: readonly [PacketSpec, number, boolean, boolean][]): Uint8Array[] {
  const runs = list.map(([spec, size, damaged]) => {
    const run = cut({ ...spec, payload: spec.payload.slice(0, size * 20) }, size).map(build);
    const victim = run[Math.floor(run.length / 2)];
    if (damaged && victim !== undefined) victim[victim.length - 1] = 255 - (victim.at(-1) ?? 0);
    return run;
  });
  if (list[0]?.[3]) return runs.flat();
  const longest = Math.max(...runs.map((run) => run.length));
  return Array.from({ length: longest }, (_, i) => runs.flatMap((run) => run[i] ?? [])).flat();
}

describe("coalescing", () => {
  test("then splitting gives back every packet of every flow, in order", () => {
    fc.assert(
      fc.property(trains, (list) => {
        const input = shuffle(list);
        const output = packets(pure.coalesce(input));
        expect(byFlow(split(output))).toEqual(byFlow(input));
      }),
      { numRuns: 300 },
    );
  });

  test("never makes a wrong checksum right", () => {
    fc.assert(
      fc.property(trains, (list) => {
        const input = shuffle(list);
        const wrong = (all: readonly Uint8Array[]) => all.filter((p) => !checksumsRight(p)).length;
        expect(wrong(split(packets(pure.coalesce(input))))).toBe(wrong(input));
      }),
      { numRuns: 300 },
    );
  });

  test("merges a whole train of a flow into one", () => {
    const spec = sample({ payload: new Uint8Array(14_320).fill(7), flags: ACK | PSH });
    for (const family of [4, 6] as const) {
      for (const protocol of ["tcp", "udp"] as const) {
        const train = cut({ ...spec, family, protocol }, 1432).map(build);
        expect(packets(pure.coalesce(train)).length).toBe(1);
      }
    }
  });

  const sample = (change: Partial<PacketSpec>): PacketSpec =>
    ({
      ...fc.sample(specs, { seed: 1, numRuns: 1 })[0],
      family: 4,
      protocol: "tcp",
      flags: ACK,
      dontFragment: true,
      options: new Uint8Array(12),
      ...change,
    }) as PacketSpec;

  const differences: [string, (spec: PacketSpec) => PacketSpec][] = [
    ["ECN", (s) => ({ ...s, tos: s.tos ^ 3 })],
    ["TTL", (s) => ({ ...s, ttl: (s.ttl % 255) + 1 })],
    ["DF", (s) => ({ ...s, dontFragment: !s.dontFragment })],
    ["ACK number", (s) => ({ ...s, ack: s.ack ^ 1 })],
    ["window", (s) => ({ ...s, window: s.window ^ 1 })],
    ["options", (s) => ({ ...s, options: s.options.map((x) => x ^ 1) })],
    ["a gap", (s) => ({ ...s, sequence: (s.sequence + 1) % 2 ** 32 })],
    ["CWR", (s) => ({ ...s, flags: s.flags | CWR })],
    ["FIN", (s) => ({ ...s, flags: s.flags | FIN })],
    ["a longer payload", (s) => ({ ...s, payload: new Uint8Array(600) })],
  ];
  test.each(differences)("keeps packets apart that differ by %s", (_name, change) => {
    const [first, second] = cut(sample({ payload: new Uint8Array(1000).fill(3) }), 500);
    if (first === undefined || second === undefined) throw new Error("no train");
    expect(packets(pure.coalesce([build(first), build(second)])).length).toBe(1);
    expect(packets(pure.coalesce([build(first), build(change(second))])).length).toBe(2);
  });

  test("without DF merges only counting identifications", () => {
    const train = cut(sample({ dontFragment: false, payload: new Uint8Array(900) }), 300);
    expect(packets(pure.coalesce(train.map(build))).length).toBe(1);
    const same = train.map((spec) => build({ ...spec, id: 7 }));
    expect(packets(pure.coalesce(same)).length).toBe(3);
  });

  test("lets no packet overtake a fragment of its flow", () => {
    const [first, second] = cut(sample({ payload: new Uint8Array(600) }), 300).map(build);
    if (first === undefined || second === undefined) throw new Error("no train");
    const fragment = build(sample({ payload: new Uint8Array(8) }));
    // More fragments follow; the header checksum with it
    fragment.set([0x20, 0, fragment[8] ?? 0, fragment[9] ?? 0, 0, 0], 6);
    const sum = 0xffff - checksum(fragment.slice(0, 20));
    fragment.set([sum >> 8, sum & 255], 10);
    const out = packets(pure.coalesce([first, fragment, second])).map((p) => hex(p.slice(VNET)));
    expect(out).toEqual([first, fragment, second].map(hex));
  });

  test("of arbitrary bytes loses nothing that parses and crashes on nothing", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 120 }), { maxLength: 8 }), (list) => {
        expect(packets(pure.coalesce(list)).length).toBeLessThanOrEqual(list.length);
      }),
    );
  });
});

describe("a router's duties", () => {
  test("the TTL goes down by one and the checksums stay right", () => {
    fc.assert(
      fc.property(specs, (spec) => {
        const found = pure.ttl(build(spec));
        expect(hex(found as Uint8Array)).toBe(hex(build({ ...spec, ttl: spec.ttl - 1 })));
      }),
    );
  });

  test("an ICMP error quotes only what was received and has right checksums", () => {
    fc.assert(
      fc.property(specs, fc.constantFrom(0, 1, 2), (spec, kind) => {
        const packet = build(spec);
        const error = pure.icmp(packet, kind as 0 | 1 | 2, 1400) as Uint8Array;
        const [head, limit] = spec.family === 4 ? [28, 576] : [48, 1280];
        expect(error.length).toBe(Math.min(head + packet.length, limit));
        expect(hex(error.slice(head))).toBe(hex(packet.slice(0, error.length - head)));
        if (spec.family === 6) expect(checksumsRight(error)).toBe(true);
        else
          expect([checksum(error.slice(0, 20)), checksum(error.slice(20))]).toEqual([65535, 65535]);
      }),
    );
  });

  test("no ICMP error answers an ICMP error or a later fragment", () => {
    const packet = build(
      fc.sample(
        specs.filter((s) => s.family === 4),
        { seed: 3, numRuns: 1 },
      )[0] as PacketSpec,
    );
    const fragment = packet.slice();
    fragment[7] = 1;
    expect(pure.icmp(fragment, 0, 0)).toHaveLength(0);
    const error = pure.icmp(packet, 0, 0) as Uint8Array;
    expect(pure.icmp(error, 0, 0)).toHaveLength(0);
  });
});
