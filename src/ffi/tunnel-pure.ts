// The binding of native/pure.h: the pure parts of the packet path over flat buffers, from the test
// libraries only. Results are copies. The path of the library is the caller's, because the plain
// and the sanitizer build have the same functions.

import { dlopen } from "bun:ffi";
import {
  ANSWER,
  type AnswerRow,
  encodeRows,
  type QuestionRecord,
  RECORD,
  recordAt,
  rowAt,
} from "./netlink/answer-records.ts";
import { PREFIX } from "./tunnel-native.ts";

const OUTPUT_BYTES = 4 << 20;

/**
 * Packets of a superpacket, or a negative errno; inputs start with the 10 bytes of a vnet header.
 */
export interface Pure {
  checksum(bytes: Uint8Array): number;
  segment(superpacket: Uint8Array): Uint8Array[] | number;
  finish(packet: Uint8Array): Uint8Array[] | number;
  coalesce(packets: readonly Uint8Array[]): Uint8Array[] | number;
  icmp(packet: Uint8Array, kind: 0 | 1 | 2, mtu: number): Uint8Array | number;
  ttl(packet: Uint8Array): Uint8Array | number;
  /** Answers by prefix table rows; addresses are 17 bytes, family first. */
  lpm(prefixes: { bytes: Uint8Array; count: number }, addresses: Uint8Array): Uint32Array;
  /** Rows by address, as `lpm`; empty where there is none. */
  answers(rows: readonly AnswerRow[], addresses: Uint8Array): AnswerRow["to"][];
  questions(datagram: Uint8Array): QuestionRecord[];
}

const QUESTIONS_MAX = 64;

const LIST = { args: ["ptr", "u32", "ptr", "u32"], returns: "i32" } as const;

export function loadPure(path: string): Pure {
  const { symbols: call } = dlopen(path, {
    hpt_checksum: { args: ["ptr", "u32"], returns: "i32" },
    hpt_segment: LIST,
    hpt_finish: LIST,
    hpt_coalesce: LIST,
    hpt_ttl: LIST,
    hpt_icmp: { args: ["ptr", "u32", "u32", "u32", "ptr", "u32"], returns: "i32" },
    hpt_answers: { args: ["ptr", "u32", "ptr", "u32", "ptr"], returns: "i32" },
    hpt_questions: LIST,
    hpt_lpm: { args: ["ptr", "u32", "ptr", "u32", "ptr"], returns: "i32" },
  });
  const out = new Uint8Array(OUTPUT_BYTES);
  type List = (input: Uint8Array, n: number, output: Uint8Array, room: number) => number;
  const list = (name: List, input: Uint8Array) => {
    const count = name(given(input), input.length, out, out.length);
    return count < 0 ? count : unpack(out, count);
  };
  const bytes = (length: number) => (length < 0 ? length : out.slice(0, length));
  return {
    checksum: (input) => call.hpt_checksum(given(input), input.length),
    segment: (input) => list(call.hpt_segment, input),
    finish: (input) => list(call.hpt_finish, input),
    coalesce: (packets) => list(call.hpt_coalesce, pack(packets)),
    icmp: (input, kind, mtu) =>
      bytes(call.hpt_icmp(given(input), input.length, kind, mtu, out, out.length)),
    ttl: (input) => bytes(call.hpt_ttl(given(input), input.length, out, out.length)),
    lpm(prefixes, addresses) {
      if (prefixes.bytes.length < prefixes.count * PREFIX.size) throw new RangeError("prefixes");
      const answers = new Uint32Array(addresses.length / 17);
      const done = call.hpt_lpm(prefixes.bytes, prefixes.count, addresses, answers.length, answers);
      if (done < 0) throw new RangeError(`hpt_lpm: errno ${-done}`);
      return answers;
    },
    answers(rows, addresses) {
      const count = addresses.length / 17;
      const found = new Uint8Array(count * ANSWER.size);
      const table = given(encodeRows(rows));
      const done = call.hpt_answers(table, rows.length, addresses, count, found);
      if (done < 0) throw new RangeError(`hpt_answers: errno ${-done}`);
      return Array.from({ length: count }, (_, i) => rowAt(found, i * ANSWER.size));
    },
    questions(datagram) {
      const found = new Uint8Array(QUESTIONS_MAX * RECORD.size);
      const count = call.hpt_questions(given(datagram), datagram.length, found, QUESTIONS_MAX);
      return Array.from({ length: count }, (_, i) => recordAt(found, i * RECORD.size));
    },
  };
}

/** The FFI refuses empty arrays. */
function given(input: Uint8Array): Uint8Array {
  return input.length > 0 ? input : new Uint8Array(1);
}

function pack(packets: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(packets.reduce((sum, packet) => sum + 4 + packet.length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const packet of packets) {
    view.setUint32(at, packet.length, true);
    bytes.set(packet, at + 4);
    at += 4 + packet.length;
  }
  return bytes;
}

function unpack(bytes: Uint8Array, count: number): Uint8Array[] {
  const view = new DataView(bytes.buffer);
  const packets: Uint8Array[] = [];
  for (let at = 0; packets.length < count; ) {
    const length = view.getUint32(at, true);
    packets.push(bytes.slice(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return packets;
}
