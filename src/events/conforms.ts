// Whether data is already what its schema would make of it: the schema walked once and turned into
// plain tests. A schema makes a new object of each that it reads, and a result of each field; most
// of a log needs none of that. What fails here may still be accepted: then the schema itself is
// asked, and says why not. So a schema that is not understood here costs time and nothing else.

import type { z } from "zod";

type Test = (value: unknown) => boolean;

/** What is read of a schema's or a check's definition (zod/v4/core). */
interface Def {
  readonly type?: string;
  readonly check?: string;
  readonly checks?: readonly Part[];
  readonly coerce?: boolean;
  readonly catchall?: unknown;
  readonly shape?: Readonly<Record<string, Part>>;
  readonly element?: Part;
  readonly innerType?: Part;
  readonly entries?: Readonly<Record<string, string | number>>;
  readonly format?: string;
  readonly pattern?: RegExp;
  readonly fn?: Test;
  readonly when?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly value?: unknown;
  readonly inclusive?: boolean;
}

interface Part {
  readonly _zod: { readonly def: unknown };
}

/**
 * A test of `schema`: true only for a value that the schema accepts and gives back equal, with its
 * keys in the same order. Null for a schema with a part that is not understood.
 */
export function conformance(schema: z.core.$ZodType | Part): Test | null {
  const def = schema._zod.def as Def;
  const base = kindOf(def);
  // A format is a schema and its own check.
  const checks = [...(def.check === undefined ? [] : [schema]), ...(def.checks ?? [])];
  const tests = checks.map((check) => checkOf(check._zod.def as Def));
  return base !== null && all(tests) ? both(base, tests) : null;
}

function both(base: Test, tests: readonly Test[]): Test {
  const [only, ...others] = tests;
  if (only === undefined) return base;
  if (others.length === 0) return (value) => base(value) && only(value);
  return (value) => base(value) && tests.every((test) => test(value));
}

function all(tests: readonly (Test | null)[]): tests is readonly Test[] {
  return !tests.includes(null);
}

function kindOf(def: Def): Test | null {
  switch (def.type) {
    case "string":
      return def.coerce ? null : (value) => typeof value === "string";
    case "number":
      return def.coerce ? null : Number.isFinite;
    case "boolean":
      return def.coerce ? null : (value) => typeof value === "boolean";
    case "enum": {
      const entries = new Set<unknown>(Object.values(def.entries ?? {}));
      return (value) => entries.has(value);
    }
    case "nullable": {
      const inner = def.innerType === undefined ? null : conformance(def.innerType);
      return inner && ((value) => value === null || inner(value));
    }
    case "array": {
      const element = def.element === undefined ? null : conformance(def.element);
      return element && ((value) => Array.isArray(value) && value.every((item) => element(item)));
    }
    case "object":
      return def.catchall === undefined ? objectOf(def.shape ?? {}) : null;
    default:
      return null;
  }
}

function objectOf(shape: Readonly<Record<string, Part>>): Test | null {
  const keys = Object.keys(shape);
  const tests = Object.values(shape).map(conformance);
  if (!all(tests)) return null;
  return (value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
    const fields = value as Readonly<Record<string, unknown>>;
    let i = 0;
    for (const key in fields) {
      if (key !== keys[i] || !tests[i]?.(fields[key])) return false;
      i++;
    }
    return i === keys.length;
  };
}

/** A check of a value that is of the right kind. */
function checkOf(def: Def): Test | null {
  const { minimum = 0, maximum = 0, pattern, fn, inclusive } = def;
  const limit = typeof def.value === "number" ? def.value : Number.NaN;
  switch (def.check) {
    case "min_length":
      return (value) => (value as string).length >= minimum;
    case "max_length":
      return (value) => (value as string).length <= maximum;
    case "greater_than":
      return (value) => (inclusive ? (value as number) >= limit : (value as number) > limit);
    case "less_than":
      return (value) => (inclusive ? (value as number) <= limit : (value as number) < limit);
    case "number_format":
      return def.format === "safeint" ? Number.isSafeInteger : null;
    case "string_format":
      if (def.format !== "regex" || pattern === undefined || pattern.global) return null;
      return (value) => pattern.test(value as string);
    case "custom":
      return fn === undefined || def.when !== undefined ? null : (value) => fn(value) === true;
    default:
      return null;
  }
}
