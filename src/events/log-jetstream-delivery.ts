// What the server says of a record beside the record: it is in the reply subject of the message,
// `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<nanoseconds>.<pending>`,
// with a domain and an account before the stream once servers write it so (nats-server, ADR-15).

import { hasAt } from "./codec-frame.ts";
import { numberIn } from "./nats-frame.ts";

/** What is no number is -1. */
export interface Delivery {
  readonly seq: number;
  /** Counts what this consumer delivered, from 1. */
  readonly consumerSeq: number;
  readonly timeMs: number;
  /** Messages that the stream holds beyond this one. */
  readonly pending: number;
}

const DOT = 0x2e;
const BEFORE_MARK = "$JS.ACK".length;
/** Nanoseconds exceed 2^53: these digits are cut off. */
const DIGITS_BELOW_MS = 6;

/** `.<stream>.<consumer>.` in bytes. */
export function deliveryMark(stream: string, consumer: string): Uint8Array {
  return new TextEncoder().encode(`.${stream}.${consumer}.`);
}

/** Null when what is in `[from, to)` is not the reply subject of a record. */
export function deliveryIn(
  bytes: Uint8Array,
  from: number,
  to: number,
  mark: Uint8Array,
): Delivery | null {
  let markAt = from + BEFORE_MARK;
  while (markAt < to && !hasAt(bytes, markAt, mark)) markAt++;
  if (markAt >= to) return null;
  const deliveriesEnd = dotAt(bytes, markAt + mark.length, to);
  const seqEnd = dotAt(bytes, deliveriesEnd + 1, to);
  const consumerSeqEnd = dotAt(bytes, seqEnd + 1, to);
  const nanosEnd = dotAt(bytes, consumerSeqEnd + 1, to);
  const pendingEnd = dotAt(bytes, nanosEnd + 1, to);
  return {
    seq: numberIn(bytes, deliveriesEnd + 1, seqEnd),
    consumerSeq: numberIn(bytes, seqEnd + 1, consumerSeqEnd),
    timeMs: numberIn(bytes, consumerSeqEnd + 1, nanosEnd - DIGITS_BELOW_MS),
    pending: numberIn(bytes, nanosEnd + 1, pendingEnd),
  };
}

/** The next dot, or the end. */
function dotAt(bytes: Uint8Array, from: number, to: number): number {
  let at = from;
  while (at < to && bytes[at] !== DOT) at++;
  return at;
}
