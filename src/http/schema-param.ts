// Parameters that several routes take, each with its check and its words for the document.

import { z } from "@hono/zod-openapi";
import { parseCidr, parseIp, parseMac } from "../events/address.ts";
import { GIVEN_NAME, isNodeName, NODE_NAME_PATTERN } from "../events/name.ts";
import {
  DURATION_EXPECTED,
  POINT_EXPECTED,
  type Point,
  parseDuration,
  parsePoint,
} from "../events/point.ts";

type Parse<T> = (text: string) => T | null;

/** A string through a parser that answers null; the message says what was expected. */
function parsed<T>(parse: Parse<T>, expected: string) {
  return z
    .string()
    .max(256)
    .transform((text, context): T => {
      const value = parse(text);
      if (value !== null) return value;
      context.issues.push({ code: "custom", message: expected, input: text });
      return z.NEVER;
    });
}

/** For the document: what looks otherwise is refused; the 31st of February is too. */
const POINT_PATTERN = [
  "^([1-9][0-9]{0,14}",
  "([0-9]{1,9}(\\.[0-9]+)?(ms|s|m|h|d))+",
  "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])" +
    "([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]+)?)?" +
    "(Z|[+-](0[0-9]|1[0-4]):?[0-5][0-9])?)?)$",
].join("|");

/** A place in the log. */
export function pointParam(description: string) {
  const schema = parsed<Point>(parsePoint, POINT_EXPECTED);
  return schema.openapi({ description, example: "42", pattern: POINT_PATTERN });
}

export function durationParam(description: string, example: string) {
  return parsed(parseDuration, DURATION_EXPECTED).openapi({ description, example });
}

/** A whole number in a query, where everything is text. */
export function numberParam(min: number, max: number, description: string) {
  const parse: Parse<number> = (text) => {
    const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
    return value >= min && value <= max ? value : null;
  };
  const schema = parsed(parse, `expected a whole number from ${min} to ${max}`);
  return schema.openapi({ type: "integer", minimum: min, maximum: max, description });
}

const checked = (isGood: (text: string) => boolean, expected: string) =>
  z.string().max(256).refine(isGood, expected);

export const nodeName = checked(isNodeName, "expected a node name, as in a host name").openapi({
  example: "h1",
  pattern: NODE_NAME_PATTERN,
});

export const peerName = z
  .string()
  .regex(GIVEN_NAME, "expected 1 to 63 letters, digits, - and .")
  .openapi({ example: "lb1" });

/** Addresses are taken as people write them and passed on in canonical form. */
export const cidr = parsed(
  parseCidr,
  "expected a prefix without host bits, as 10.5.3.0/24",
).openapi({ example: "10.9.0.0/24" });
export const ip = parsed(parseIp, "expected an IP address").openapi({ example: "198.18.0.9" });
export const mac = parsed(parseMac, "expected a unicast MAC address").openapi({
  example: "02:00:00:00:00:09",
});

/** A body that must be there and must be JSON. */
export function jsonBody<S extends z.ZodType>(schema: S) {
  return { required: true, content: { "application/json": { schema } } } as const;
}
