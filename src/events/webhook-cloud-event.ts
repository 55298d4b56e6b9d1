// An event of the log as a CloudEvent (CloudEvents 1.0, structured JSON). Pure.

import type { Event } from "./event.ts";
import type { Recorded } from "./log.ts";
import { isoTime } from "./point.ts";
import { nodesOf } from "./webhook.ts";

/** Extension attributes are lower-case letters and digits only, by the specification. */
export interface CloudEvent {
  readonly specversion: "1.0";
  /** Unique together with `source`, and the same at every attempt. */
  readonly id: string;
  readonly source: string;
  readonly type: string;
  /** The node that it is about. */
  readonly subject?: string;
  readonly time: string;
  readonly datacontenttype: "application/json";
  /** Place in the log, padded so that texts sort as numbers do. */
  readonly sequence?: string;
  /** Version of the shape of `data`. */
  readonly dataversion?: number;
  /** Name of the token on whose behalf it was written. */
  readonly author?: string;
  readonly data: unknown;
}

export const CLOUD_EVENT_TYPE = "application/cloudevents+json; charset=utf-8";

/** 2^53 has 16 digits. */
const SEQUENCE_DIGITS = 16;

export function cloudEvent(fabric: string, record: Recorded, event: Event): CloudEvent {
  const [node] = nodesOf(event);
  return {
    specversion: "1.0",
    id: String(record.seq),
    source: sourceOf(fabric),
    type: `heddle.${event.type}`,
    ...(node === undefined ? {} : { subject: node }),
    time: isoTime(record.timeMs),
    datacontenttype: "application/json",
    sequence: String(record.seq).padStart(SEQUENCE_DIGITS, "0"),
    dataversion: event.v,
    ...(event.by === undefined ? {} : { author: event.by.token }),
    data: event.data,
  };
}

/** One that says nothing but that the way is open. */
export function testEvent(fabric: string, hook: string, id: string, timeMs: number): CloudEvent {
  return {
    specversion: "1.0",
    id,
    source: sourceOf(fabric),
    type: "heddle.test",
    time: isoTime(timeMs),
    datacontenttype: "application/json",
    data: { hook },
  };
}

function sourceOf(fabric: string): string {
  return `/heddle/${fabric}`;
}
