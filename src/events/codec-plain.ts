// Payloads that are written the way `encode` writes them, with data that has the form of its type:
// read by one expression for each type (form-text.ts). What is null here is read the long way.

import { type EventType, eventTypes, eventVersion } from "./event.ts";
import { eventForms } from "./event-form.ts";
import type { Test } from "./form.ts";
import { writtenOf } from "./form-text.ts";

export interface Plain {
  readonly ok: true;
  readonly by?: undefined;
  readonly type: EventType;
  readonly id: string;
  readonly data: unknown;
}

interface Layout {
  readonly type: EventType;
  readonly whole: RegExp;
  readonly idAt: number;
  readonly rest: Test | null;
}

const AFTER_ID = '","data":'.length;
const TYPE_AT = '{"type":"'.length;
/** The literal for a type that was read, which every later comparison recognises by address. */
export const TYPES: ReadonlyMap<string, EventType> = new Map(
  eventTypes.map((type) => [type, type]),
);

/** By type; made when the first event of the type is read. Null when there is none. */
const layouts = new Map<string, Layout | null>();

/** What is written in `text`, or null when that does not show at a glance. */
export function readPlain(text: string): Plain | null {
  const layout = layoutOf(text.slice(TYPE_AT, text.indexOf('"', TYPE_AT)));
  if (layout === null || !layout.whole.test(text)) return null;
  const { type, idAt, rest } = layout;
  const idEnd = text.indexOf('"', idAt);
  const data: unknown = JSON.parse(text.slice(idEnd + AFTER_ID, -1));
  if (rest !== null && !rest(data)) return null;
  return { ok: true, type, id: text.slice(idAt, idEnd), data };
}

function layoutOf(name: string): Layout | null {
  const known = layouts.get(name);
  if (known !== undefined) return known;
  const type = TYPES.get(name);
  if (type === undefined) return null;
  const layout = makeLayout(type);
  layouts.set(name, layout);
  return layout;
}

function makeLayout(type: EventType): Layout | null {
  const form = eventForms[type];
  const written = form === undefined ? null : writtenOf(form);
  if (written === null) return null;
  const { source, rest } = written;
  const head = `{"type":"${type}","v":${eventVersion[type]},"id":"`;
  const whole = new RegExp(`^\\${head}[!#-[\\]-~]{1,128}","data":${source}\\}$`);
  return { type, whole, idAt: head.length, rest };
}
