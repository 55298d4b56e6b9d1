// The bytes that stand for one record wherever a record is hashed: everything that the fold sees of
// it and nothing else, in a form that anybody can write with printf:
//
//   SEQ SPACE MILLISECONDS SPACE SUBJECT NEWLINE PAYLOAD
//
// Neither numbers nor a NATS subject hold a space or a newline, so two different records never give
// the same bytes. Message headers are not in it, because nothing that Heddle does depends on one.

import type { Recorded } from "./log.ts";

const encoder = new TextEncoder();
const NEWLINE = 0x0a;

/** The bytes of `record`, after `prefix`. */
export function recordBytes(record: Recorded, prefix: readonly number[] = []): Uint8Array {
  const head = encoder.encode(`${record.seq} ${record.timeMs} ${record.subject}`);
  const start = prefix.length + head.length + 1;
  const bytes = new Uint8Array(start + record.payload.length);
  bytes.set(prefix);
  bytes.set(head, prefix.length);
  bytes[start - 1] = NEWLINE;
  bytes.set(record.payload, start);
  return bytes;
}
