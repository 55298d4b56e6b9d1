// The line of an event cut from the bytes it was stored as. Most events are stored in the very
// words that they are shown in; each was decoded, checked and folded when the log was read, and
// what was found then is remembered (journal.ts), so that showing it needs none of this again.
//
// Invariant: the line of a plain record is JSON.stringify(eventDocument(…)) of it, byte for byte.

import { type Frame, frameOf, HEADS, hasAt } from "../events/codec-frame.ts";
import type { Event, EventType } from "../events/event.ts";
import type { Folded } from "../events/fold.ts";
import type { Recorded } from "../events/log.ts";
import { isoTime } from "../events/point.ts";

/** Data that many events share (events/codec-memo.ts) is written alike in all of them. */
const shared = new WeakMap<Event["data"], boolean>();

/** An event that counted, in the words of `encode`, in ASCII. With a name on it it has no frame. */
export function isPlain({ payload, subject }: Recorded, { event, verdict }: Folded): boolean {
  if (event === null || verdict.kind !== "accepted") return false;
  const frame = frameOf(payload);
  const head = HEADS.get(event.type);
  if (frame === null || head?.length !== frame.idAt || !hasAt(payload, 0, head)) return false;
  const known = shared.get(event.data);
  if (known !== undefined) return known;
  const plain = isDataPlain(payload, frame, event.data) && isSubjectPlain(subject);
  if (Object.isFrozen(event.data)) shared.set(event.data, plain);
  return plain;
}

/** ASCII alone, so that one byte is one character whatever the text is read as. */
function isDataPlain(payload: Uint8Array, { bodyAt, bodyEnd }: Frame, data: object): boolean {
  const text = JSON.stringify(data);
  if (text.length !== bodyEnd - bodyAt) return false;
  for (let i = 0; i < text.length; i++) {
    const byte = payload[bodyAt + i] ?? 0;
    if (byte > 0x7e || byte !== text.charCodeAt(i)) return false;
  }
  return true;
}

/** It goes between quotes as it is. */
function isSubjectPlain(subject: string): boolean {
  return /^[\x21\x23-\x5b\x5d-\x7e]*$/.test(subject);
}

/** `text` holds the payload of `record` from `at` to `end`. */
export function plainLine(
  record: Omit<Recorded, "payload">,
  type: EventType,
  text: string,
  at: number,
  end: number,
): string {
  const { seq, timeMs, subject } = record;
  // An id that needs no escape ends with the first quote.
  const idEnd = text.indexOf('"', at + (HEADS.get(type)?.length ?? 0)) + 1;
  const head = `{"seq":${seq},"time":"${isoTime(timeMs)}","subject":"${subject}"`;
  const [envelope, data] = [text.slice(at + 1, idEnd), text.slice(idEnd, end - 1)];
  return `${head},${envelope},"by":null${data},"verdict":{"kind":"accepted"}}`;
}
