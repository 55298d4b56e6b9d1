import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { z } from "zod";
import { eventTypes } from "../../src/events/event.ts";
import { eventForms, MEMBER_KEYS } from "../../src/events/event-form.ts";
import { eventData } from "../../src/events/event-schema.ts";
import { type Test, testOf } from "../../src/events/form.ts";
import { draft } from "../support/arbitraries.ts";
import { formOf } from "../support/form-of-schema.ts";

/** What is asked of a value first, by its schema. */
function conformance(schema: z.ZodType): Test | null {
  const form = formOf(schema);
  return form === null ? null : testOf(form);
}

/** A value with one part exchanged, left out, added, or moved to the end. */
function bent(value: unknown): fc.Arbitrary<unknown> {
  const other = fc.oneof(
    fc.constantFrom(null, "", -1, 0, 1.5, 2 ** 53, true, [], {}, "x".repeat(2000)),
    fc.string(),
    fc.double(),
  );
  if (typeof value !== "object" || value === null) return other;
  if (Array.isArray(value)) {
    const longer = fc.nat(300).map((times) => new Array(times).fill(value[0]));
    const parts = value.map((part, i) => bent(part).map((p) => value.with(i, p)));
    return fc.oneof(other, longer, ...parts);
  }
  const entries = Object.entries(value);
  return fc.oneof(
    other,
    fc.string().map((key) => ({ ...value, [key]: 1 })),
    ...entries.flatMap(([key, part], i) => [
      fc.constant(Object.fromEntries(entries.toSpliced(i, 1))),
      fc.constant(Object.fromEntries([...entries.toSpliced(i, 1), [key, part] as const])),
      bent(part).map((p) => Object.fromEntries(entries.with(i, [key, p]))),
    ]),
  );
}

const NUMBERS = ["-0", "0.0", "1e0", "10e-1", "1e400", "-1e400", "9007199254740993", "1e-400"];
const TEXTS = ["\\ud800", "\\u0000", "\\n", "\u{1f600}", "e\u0301", "\u212a", "\u0660", " "];
const KEYS = ["__proto__", "\\u005f_proto__", "constructor", "toString", "length", "0", ""];
/** Around the longest text that is allowed. */
const LENGTHS = [511, 512, 513];

/** `value` as somebody else might write it, now and then with something else in a place. */
function written(value: unknown, g: fc.GeneratorValue): string {
  const oneIn = (times: number) => g(fc.nat, times - 1) === 0;
  const among = (from: readonly string[]) => g(() => fc.constantFrom(...from));
  if (typeof value === "number") return oneIn(6) ? among(NUMBERS) : String(value);
  if (typeof value === "string") {
    if (oneIn(40)) return `"${"\u{1f600}".repeat(g(() => fc.constantFrom(...LENGTHS)))}"`;
    return oneIn(20) ? `"${JSON.stringify(value).slice(1, -1)}${among(TEXTS)}"` : textOf(value);
  }
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((part) => written(part, g)).join()}]`;
  const parts = Object.entries(value).map(([key, part]) => `${textOf(key)}:${written(part, g)}`);
  // Of a key that is there twice the last value counts, at the place of the first.
  if (parts.length > 0 && oneIn(10)) parts.push(among(parts));
  if (oneIn(12)) parts.splice(g(fc.nat, parts.length), 0, `"${among(KEYS)}":${among(NUMBERS)}`);
  return `{${parts.join()}}`;
}

const textOf = (text: string): string => JSON.stringify(text);

/** What is asked first is never more generous than what is asked in the end. */
function agrees(schema: z.ZodType, value: unknown): boolean {
  const said = conformance(schema)?.(value) ?? false;
  if (!said) return false;
  const parsed = schema.safeParse(value);
  // As text: the keys are in the same order too.
  expect(JSON.stringify(parsed.data)).toBe(JSON.stringify(value));
  // Strictly: 0 and -0 are the same as text.
  expect(parsed.data).toStrictEqual(value);
  expect(parsed.success).toBe(true);
  return true;
}

test("the forms of all events are those of their schemas", () => {
  const derived = eventTypes.map((type) => [type, formOf(eventData[type]) ?? undefined] as const);
  expect(derived).toEqual(eventTypes.map((type) => [type, eventForms[type]] as const));
  // Also in their order, which toEqual does not compare.
  expect(JSON.stringify(derived)).toBe(
    JSON.stringify(eventTypes.map((type) => [type, eventForms[type]])),
  );
  expect(MEMBER_KEYS).toEqual(eventData.NodeJoined.keyof().options);
});

test("what conforms is accepted by the schema and given back as it is", () => {
  const case_ = draft.chain((each) => fc.tuple(fc.constant(each), bent(each.data)));
  fc.assert(
    fc.property(case_, ([{ type, data }, value]) => {
      agrees(eventData[type], data);
      agrees(eventData[type], value);
    }),
    { numRuns: 3000 },
  );
});

test("what others write is understood like that too, or left to the schema", () => {
  const seen = { conforming: 0, left: 0 };
  fc.assert(
    fc.property(draft, fc.gen(), ({ type, data }, g) => {
      const value: unknown = JSON.parse(written(data, g));
      seen[agrees(eventData[type], value) ? "conforming" : "left"] += 1;
    }),
    // Not made smaller: of what a generator chose, that takes minutes.
    { numRuns: 3000, endOnFailure: true },
  );
  expect(seen.conforming).toBeGreaterThan(300);
  expect(seen.left).toBeGreaterThan(300);
});

test("events as they are written need no more than that", () => {
  const understood = eventTypes.filter((type) => conformance(eventData[type]) !== null);
  expect(understood).toEqual(eventTypes.filter((type) => type !== "TokenCreated"));
  fc.assert(
    fc.property(draft, ({ type, data }) => {
      const read: unknown = JSON.parse(JSON.stringify(data));
      expect(conformance(eventData[type])?.(read) ?? true).toBe(true);
    }),
  );
});

describe("left to the schema itself", () => {
  test.each([
    ["a number made from text", z.coerce.number(), "1"],
    ["a format of its own", z.iso.datetime(), "2030-01-01T00:00:00Z"],
    ["a part that may be missing", z.object({ a: z.string().optional() }), { a: "x" }],
    ["a text that is changed", z.string().trim(), "x"],
    ["an object that lets others through", z.looseObject({ a: z.string() }), { a: "x" }],
    ["a pattern with a memory", z.string().regex(/x/g), "x"],
    ["a number that may be a fraction", z.number(), 0.5],
    ["two conditions", z.string().regex(/x/).regex(/y/), "xy"],
    ["values of a record", z.record(z.string(), z.int()), { a: 1 }],
  ])("%s", (_, schema, value) => {
    expect(conformance(schema)).toBeNull();
    expect(schema.safeParse(value).success).toBe(true);
  });
});

test.each([
  ["whole numbers", z.int().min(3).max(5), [3, 5], [2, 6, 3.5, Number.NaN, "3", null]],
  ["open ends", z.int().positive(), [1], [0, -1, 2 ** 53]],
  ["records", z.record(z.string(), z.unknown()), [{}, { a: 1 }], [[], null, "a"]],
  ["lengths", z.string().min(1).max(2), ["a", "ab"], ["", "abc", 1]],
  ["patterns", z.string().regex(/^a+$/), ["a"], ["b", ""]],
  ["conditions", z.string().refine((text) => text === "a"), ["a"], ["b"]],
  ["lists", z.array(z.boolean()).min(1).max(2), [[true], [true, false]], [[], [1]]],
  ["words", z.enum(["a", "b"]), ["a"], ["c", 0]],
  ["null", z.string().nullable(), [null, ""], [undefined, 0]],
  ["objects", z.object({ a: z.int(), b: z.int() }), [{ a: 1, b: 2 }], [{ b: 2, a: 1 }, { a: 1 }]],
  ["no fields", z.object({}), [{}], [[], null, { a: 1 }]],
])("%s", (_, schema: z.ZodType, good: unknown[], bad: unknown[]) => {
  expect(good.map((value) => agrees(schema, value))).toEqual(good.map(() => true));
  expect(bad.map((value) => agrees(schema, value))).toEqual(bad.map(() => false));
});

test("a key that a schema leaves out has not the form", () => {
  const value: unknown = JSON.parse('{"__proto__":1}');
  expect(agrees(z.record(z.string(), z.unknown()), value)).toBe(false);
});
