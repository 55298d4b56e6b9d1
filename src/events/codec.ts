// Bytes to events and back. Decoding never throws: whatever cannot be read becomes a reason, and
// one bad record stays one bad record. The subject is part of what is checked, because the subject
// is what the server authenticated.

import type { z } from "zod";
import { type Frame, idOf } from "./codec-frame.ts";
import { CodecMemo, type Known } from "./codec-memo.ts";
import { readPlain, TYPES } from "./codec-plain.ts";
import {
  type Author,
  type Draft,
  type Event,
  type EventType,
  eventVersion,
  type Member,
} from "./event.ts";
import { eventForms } from "./event-form.ts";
import { type Test, testOf } from "./form.ts";
import { eventSchemas, messageSchemas } from "./late.ts";
import type { Recorded } from "./log.ts";
import { shareLists } from "./node.ts";
import { subjectOf } from "./subject.ts";
import { upcast } from "./upcast.ts";

/** No event of ours comes near this; a larger payload is a mistake or an attack. */
export const PAYLOAD_BYTES_MAX = 65_536;

export type Decoded =
  | { readonly ok: true; readonly event: Event }
  | { readonly ok: false; readonly reason: string };

const text = new TextDecoder("utf-8", { fatal: true });
const bytes = new TextEncoder();

export function encode(draft: Draft, id: string, by?: Author): Uint8Array {
  const v = eventVersion[draft.type];
  const envelope = { type: draft.type, v, id, ...(by === undefined ? {} : { by }) };
  return bytes.encode(JSON.stringify({ ...envelope, data: draft.data }));
}

/** Of all that this process reads. */
const processMemo = new CodecMemo();

export function decode(fabric: string, record: Recorded, memo = processMemo): Decoded {
  const { payload } = record;
  if (payload.length > PAYLOAD_BYTES_MAX) {
    return refuse(`payload of ${payload.length} bytes, at most ${PAYLOAD_BYTES_MAX} are accepted`);
  }
  const place = memo.placeOf(payload);
  if (place !== null) {
    const known = memo.recall(fabric, payload, place);
    if (known !== null) return recalled(known, record, place.frame);
  }
  const written = textOf(payload);
  if (written === null) return refuse("payload is not UTF-8");
  const read = readPlain(written) ?? readWhole(written);
  if (!read.ok) return read;
  const { type, data } = read;
  if (type === "NodeJoined" || type === "NodeUpdated") shareLists(data as Member);
  const event = eventOf(type, read.id, data, readAuthor(read.by));
  const subject = subjectOf(fabric, event);
  if (subject !== record.subject) return misplaced(type, subject, record);
  if (place !== null) {
    memo.remember(payload, place, { type, fabric, subject, data: event.data }, isJson);
  }
  return { ok: true, event };
}

type Refused = Extract<Decoded, { ok: false }>;

interface Read {
  readonly ok: true;
  readonly type: EventType;
  readonly id: string;
  /** Checked, of the current version of its type. */
  readonly data: unknown;
  readonly by?: unknown;
}

/** Any layout, any version. */
function readWhole(written: string): Read | Refused {
  const json = parseJson(written);
  if (json === undefined) return refuse("payload is not JSON");
  const envelope = readEnvelope(json);
  if (!envelope.ok) return envelope;
  const { type, v, id, by } = envelope;
  const current = upcast(type, v, eventVersion[type], envelope.data);
  if (current === null) return refuse(`${type} version ${v} has no upcaster`);
  const checked = checkData(type, current.data);
  return checked.ok ? { ok: true, type, id, data: checked.data, by } : checked;
}

/** By type; made when the first event of the type is read. */
const tests = new Map<EventType, Test>();

function checkData(
  type: EventType,
  data: unknown,
): { readonly ok: true; readonly data: unknown } | { readonly ok: false; readonly reason: string } {
  if (hasForm(type, data)) return { ok: true, data };
  const parsed = eventSchemas()[type].safeParse(data);
  if (parsed.success) return { ok: true, data: parsed.data };
  return refuse(`${type}: ${firstIssue(parsed.error)}`);
}

function hasForm(type: EventType, data: unknown): boolean {
  let test = tests.get(type);
  if (test === undefined) {
    const form = eventForms[type];
    test = form === undefined ? () => false : testOf(form);
    tests.set(type, test);
  }
  return test(data);
}

function recalled(known: Known, record: Recorded, frame: Frame): Decoded {
  const { type, subject, data } = known;
  if (subject !== record.subject) return misplaced(type, subject, record);
  const { payload } = record;
  const event = {
    type,
    v: eventVersion[type],
    get id() {
      return idOf(payload, frame);
    },
    data,
  };
  return { ok: true, event: event as Event };
}

/** The schema table and the union are derived from one object: type and data belong together. */
function eventOf(type: EventType, id: string, data: unknown, by: Author | null): Event {
  const v = eventVersion[type];
  return (by === null ? { type, v, id, data } : { type, v, id, by, data }) as Event;
}

/**
 * What cannot be read counts as not said. Programs from before there were authors do not look, and
 * all must say the same of a record.
 */
function readAuthor(by: unknown): Author | null {
  if (by === undefined) return null;
  const parsed = messageSchemas().author.safeParse(by);
  if (!parsed.success) return null;
  const { token, request } = parsed.data;
  return request === undefined ? { token } : { token, request };
}

function misplaced(type: EventType, subject: string, record: Recorded): Decoded {
  return refuse(`${type} on ${record.subject} speaks for ${subject}`);
}

interface Envelope {
  readonly ok: true;
  readonly type: EventType;
  readonly v: number;
  readonly id: string;
  readonly by: unknown;
  readonly data: unknown;
}

function readEnvelope(json: unknown): Envelope | { ok: false; reason: string } {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    return refuse("payload is not a JSON object");
  }
  const { type, v, id, by, data } = json as Record<string, unknown>;
  if (typeof type !== "string") return refuse("type: expected a string");
  const known = TYPES.get(type);
  if (known === undefined) return refuse(`unknown event type ${printable(type)}`);
  if (typeof v !== "number" || !Number.isInteger(v) || v < 1) {
    return refuse("v: expected a positive whole number");
  }
  if (v > eventVersion[known]) {
    return refuse(`${known} version ${v} is newer than this program understands`);
  }
  if (typeof id !== "string" || id.length === 0 || id.length > 128) {
    return refuse("id: expected a string of 1 to 128 characters");
  }
  return { ok: true, type: known, v, id, by, data };
}

function textOf(payload: Uint8Array): string | null {
  try {
    return text.decode(payload);
  } catch {
    return null; // The caller's reason says what is wrong.
  }
}

function parseJson(written: string): unknown {
  try {
    return JSON.parse(written);
  } catch {
    return undefined; // As above.
  }
}

function isJson(part: Uint8Array): boolean {
  const written = textOf(part);
  return written !== null && parseJson(written) !== undefined;
}

function firstIssue(error: z.ZodError): string {
  const issue = error.issues[0];
  if (issue === undefined) return "invalid";
  const path = issue.path.join(".");
  return path === "" ? issue.message : `${path}: ${issue.message}`;
}

/** Text from strangers, safe to print on a terminal. */
function printable(value: string): string {
  return JSON.stringify(value.length > 64 ? `${value.slice(0, 64)}…` : value);
}

function refuse(reason: string): { ok: false; reason: string } {
  return { ok: false, reason };
}
