// Plain tests of data, from a description of its form. They stand in for zod schemas where a
// process must not wait for those to be made (event-form.ts), and take a fraction of the time: a
// schema makes a new object of each that it reads, and a result of each field.

export type Test = (value: unknown) => boolean;

export type Form =
  | ({ readonly kind: "text"; readonly min?: number; readonly max?: number } & TextTests)
  /** A whole number that is exact. */
  | { readonly kind: "whole"; readonly min?: number; readonly max?: number }
  | { readonly kind: "flag" }
  | { readonly kind: "word"; readonly of: readonly string[] }
  | { readonly kind: "orNull"; readonly of: Form }
  | { readonly kind: "list"; readonly of: Form; readonly min?: number; readonly max?: number }
  /** These keys and no others, in this order. */
  | { readonly kind: "fields"; readonly of: Readonly<Record<string, Form>> }
  /** Any keys and values. */
  | { readonly kind: "record"; readonly is?: (record: Record<string, unknown>) => boolean };

interface TextTests {
  readonly pattern?: RegExp;
  readonly is?: (text: string) => boolean;
}

export function testOf(form: Form): Test {
  switch (form.kind) {
    case "text":
      return textTest(form);
    case "whole": {
      const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = form;
      return (value) => Number.isSafeInteger(value) && within(value as number, min, max);
    }
    case "flag":
      return (value) => typeof value === "boolean";
    case "word":
      return (value) => form.of.includes(value as string);
    case "orNull": {
      const test = testOf(form.of);
      return (value) => value === null || test(value);
    }
    case "list": {
      const { min = 0, max = Number.POSITIVE_INFINITY } = form;
      const test = testOf(form.of);
      return (value) => Array.isArray(value) && within(value.length, min, max) && value.every(test);
    }
    case "fields":
      return fieldsTest(form.of);
    case "record": {
      const { is = () => true } = form;
      // A schema leaves out the one key that would be more than a key.
      return (value) => isObject(value) && !Object.hasOwn(value, "__proto__") && is(value);
    }
  }
}

function textTest({ min = 0, max = Number.POSITIVE_INFINITY, pattern, is }: TextForm): Test {
  return (value) =>
    typeof value === "string" &&
    within(value.length, min, max) &&
    (pattern === undefined || pattern.test(value)) &&
    (is === undefined || is(value));
}

type TextForm = Extract<Form, { kind: "text" }>;

function fieldsTest(fields: Readonly<Record<string, Form>>): Test {
  const keys = Object.keys(fields);
  const tests = Object.values(fields).map(testOf);
  return (value) => {
    if (!isObject(value)) return false;
    let i = 0;
    for (const key in value) {
      if (key !== keys[i] || !tests[i]?.(value[key])) return false;
      i++;
    }
    return i === keys.length;
  };
}

function within(value: number, min: number, max: number): boolean {
  return value >= min && value <= max;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
