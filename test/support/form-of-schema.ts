// What a schema asks, as a plain form (src/events/form.ts): the definition that zod keeps
// (zod/v4/core), walked. Null for a schema with a part that a form cannot say, or that changes what
// it reads.

import type { Form } from "../../src/events/form.ts";

interface Def {
  readonly type?: string;
  readonly check?: string;
  readonly checks?: readonly Part[];
  readonly coerce?: boolean;
  readonly catchall?: unknown;
  readonly shape?: Readonly<Record<string, Part>>;
  readonly element?: Part;
  readonly innerType?: Part;
  readonly keyType?: Part;
  readonly valueType?: Part;
  readonly entries?: Readonly<Record<string, string>>;
  readonly format?: string;
  readonly pattern?: RegExp;
  readonly fn?: (value: never) => boolean;
  readonly when?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly value?: number;
  readonly inclusive?: boolean;
}

interface Part {
  readonly _zod: { readonly def: unknown };
}

export function formOf(schema: Part): Form | null {
  const def = schema._zod.def as Def;
  let form: object | null = kindOf(def);
  // A format is a schema and its own check.
  const checks = [...(def.check === undefined ? [] : [schema]), ...(def.checks ?? [])];
  for (const check of checks) {
    const asked = checkOf(check._zod.def as Def);
    form = form === null || asked === null ? null : narrowed(form, asked);
  }
  return form as Form | null;
}

/** Null when both ask the same in different ways: a form has room for one. */
function narrowed(form: object, asked: object): object | null {
  const twice = Object.keys(asked).filter((key) => key in form);
  if (twice.some((key) => key !== "min" && key !== "max")) return null;
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = form as Bounds;
  const both: { min?: number; max?: number } = { ...form, ...asked };
  if (both.min !== undefined) both.min = Math.max(both.min, min);
  if (both.max !== undefined) both.max = Math.min(both.max, max);
  return both;
}

interface Bounds {
  readonly min?: number;
  readonly max?: number;
}

function kindOf(def: Def): object | null {
  switch (def.type) {
    case "string":
      return def.coerce ? null : { kind: "text" };
    case "number":
      return def.coerce || def.format !== "safeint" ? null : { kind: "whole" };
    case "boolean":
      return def.coerce ? null : { kind: "flag" };
    case "enum":
      return { kind: "word", of: Object.values(def.entries ?? {}) };
    case "nullable":
      return around("orNull", def.innerType);
    case "array":
      return around("list", def.element);
    case "record":
      return isPlain(def.keyType, "string") && isPlain(def.valueType, "unknown")
        ? { kind: "record" }
        : null;
    case "object":
      return def.catchall === undefined ? fieldsOf(def.shape ?? {}) : null;
    default:
      return null;
  }
}

function isPlain(part: Part | undefined, type: string): boolean {
  const { type: is, checks = [] } = (part?._zod.def ?? {}) as Def;
  return is === type && checks.length === 0;
}

function around(kind: "orNull" | "list", part: Part | undefined): object | null {
  const of = part === undefined ? null : formOf(part);
  return of === null ? null : { kind, of };
}

function fieldsOf(shape: Readonly<Record<string, Part>>): object | null {
  const parts = Object.entries(shape).map(([key, part]) => [key, formOf(part)] as const);
  return parts.some(([, form]) => form === null)
    ? null
    : { kind: "fields", of: Object.fromEntries(parts) };
}

function checkOf(def: Def): object | null {
  const { minimum, maximum, value, inclusive, pattern, fn } = def;
  switch (def.check) {
    case "min_length":
      return { min: minimum };
    case "max_length":
      return { max: maximum };
    // Only of whole numbers: kindOf knows no others.
    case "greater_than":
      return value === undefined ? null : { min: inclusive ? value : value + 1 };
    case "less_than":
      return value === undefined ? null : { max: inclusive ? value : value - 1 };
    case "number_format":
      return def.format === "safeint" ? {} : null;
    case "string_format":
      return def.format === "regex" && pattern?.global === false ? { pattern } : null;
    case "custom":
      return def.when === undefined ? { is: fn } : null;
    default:
      return null;
  }
}
