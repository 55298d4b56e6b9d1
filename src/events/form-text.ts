// The JSON text that data of a form is written as, as a regular expression: one look of compiled
// code says of a text what the tests of form.ts say of the object read from it, field by field. The
// engine compiles an expression at its first use and a function after some hundred calls: of 20 000
// records in a process that just started the tests took 20 ms, this takes 2.
//
// It knows one way to write each thing, that of `JSON.stringify`, and for some things less than the
// form allows (text beyond ASCII, escapes, numbers near their bounds). What it does not match may
// still have the form; what it matches, and passes `rest`, has it.

import { isIp, isMac } from "./address.ts";
import type { Form, Test } from "./form.ts";
import { canonicalIpv6 } from "./ipv6.ts";
import { isNodeName } from "./name.ts";

export interface Written {
  readonly source: string;
  /** What the expression leaves open, to be asked of the object; null when that is nothing. */
  readonly rest: Test | null;
}

type FormOf<K extends Form["kind"]> = Extract<Form, { kind: K }>;

const END = '(?=")';
const OCTET = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const QUAD = `${OCTET}(?:\\.${OCTET}){3}`;

/** Between the quotes, for predicates that an expression can say in full. */
const SOURCES: ReadonlyMap<unknown, string> = new Map([
  [isIp, `(?:${QUAD}${END}|${canonicalIpv6(END)})`],
  [isMac, "(?!00:00:00:00:00:00)[\\da-f][02468ace](?::[\\da-f]{2}){5}"],
  [isNodeName, '(?![^"]*\\.\\.)[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?'],
]);
/** Printable ASCII that needs no escape. */
const PLAIN = "[ !#-[\\]-~]";

/** Null for a form that no expression describes. */
export function writtenOf(form: Form): Written | null {
  switch (form.kind) {
    case "text":
      return writtenText(form);
    case "whole":
      return { source: wholeSource(form), rest: null };
    case "flag":
      return { source: "(?:true|false)", rest: null };
    case "word":
      return { source: `"(?:${form.of.join("|")})"`, rest: null };
    case "orNull": {
      const of = writtenOf(form.of);
      if (of === null) return null;
      const { source, rest } = of;
      const either: Test | null = rest && ((value) => value === null || rest(value));
      return { source: `(?:null|${source})`, rest: either };
    }
    case "list":
      return writtenList(form);
    case "fields":
      return writtenFields(form);
    case "record":
      return null;
  }
}

function writtenText({ min = 0, max, pattern, is }: FormOf<"text">): Written {
  const known = min === 0 && max === undefined && pattern === undefined && SOURCES.get(is);
  if (known) return { source: `"${known}"`, rest: null };
  const source = `"${PLAIN}{${min},${max ?? ""}}"`;
  if (pattern === undefined && is === undefined) return { source, rest: null };
  const rest: Test = (value) => {
    const text = value as string;
    return (pattern?.test(text) ?? true) && (is?.(text) ?? true);
  };
  return { source, rest };
}

/** As many digits as any number of them is within the bounds; -0 and fractions are not written. */
function wholeSource({ min = 0, max = Number.MAX_SAFE_INTEGER }: FormOf<"whole">): string {
  let least = 1;
  while (10 ** (least - 1) < min) least++;
  let most = 0;
  while (10 ** (most + 1) - 1 <= max) most++;
  const some = `[1-9]\\d{${least - 1},${most - 1}}`;
  return min <= 0 ? `(?:0|${some})` : some;
}

function writtenList({ of, min = 0, max }: FormOf<"list">): Written | null {
  const item = writtenOf(of);
  if (item === null) return null;
  const { source, rest } = item;
  const others = `{${Math.max(0, min - 1)},${max === undefined ? "" : max - 1}}`;
  const items = `${source}(?:,${source})${others}`;
  const each: Test | null =
    rest &&
    ((value) => {
      for (const part of value as readonly unknown[]) if (!rest(part)) return false;
      return true;
    });
  return { source: min === 0 ? `\\[(?:${items})?\\]` : `\\[${items}\\]`, rest: each };
}

function writtenFields({ of }: FormOf<"fields">): Written | null {
  const sources: string[] = [];
  const rests: { readonly key: string; readonly rest: Test }[] = [];
  for (const [key, form] of Object.entries(of)) {
    const part = writtenOf(form);
    if (part === null) return null;
    sources.push(`"${key}":${part.source}`);
    if (part.rest !== null) rests.push({ key, rest: part.rest });
  }
  const source = `\\{${sources.join(",")}\\}`;
  if (rests.length === 0) return { source, rest: null };
  const all: Test = (value) => {
    for (const { key, rest } of rests) {
      if (!rest((value as Record<string, unknown>)[key])) return false;
    }
    return true;
  };
  return { source, rest: all };
}
