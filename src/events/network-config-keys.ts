// Reading keys of a configuration document. Go's JSON decoder, which flannel uses, takes null as
// "not given"; so do we.

import type { z } from "zod";

export type Json = z.core.util.JSONType;
export type Document = { readonly [key: string]: Json };

/** Deeper than any configuration; recursion over what a stranger sent must have an end. */
const DEPTH_MAX = 8;

export function isShallow(value: unknown, left = DEPTH_MAX): boolean {
  if (typeof value !== "object" || value === null) return true;
  return left > 0 && Object.values(value).every((part) => isShallow(part, left - 1));
}

/** A key that cannot be accepted; caught in parseNetworkConfig, never seen outside. */
export class ConfigRefusal extends Error {
  override readonly name = "ConfigRefusal";
}

export function words(key: string, reason: string): ConfigRefusal {
  return new ConfigRefusal(`${key}: ${reason}`);
}

export function object(json: unknown, key: string): Document {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw words(key, "expected a JSON object");
  }
  return json as Document;
}

export function refuseUnknown(document: Document, known: readonly string[], path: string): void {
  for (const key of Object.keys(document)) {
    if (!known.includes(key)) {
      throw words(`${path}${key}`, `unknown key, expected one of ${known.join(", ")}`);
    }
  }
}

/** Refuses keys that are known but have no meaning beside the others. */
export function refuseKeys(
  document: Document,
  keys: readonly string[],
  path: string,
  reason: string,
): void {
  const found = keys.find((key) => document[key] !== undefined && document[key] !== null);
  if (found !== undefined) throw words(`${path}${found}`, reason);
}

export function optional<T>(
  document: Document,
  key: string,
  read: (value: Json, key: string) => T,
  path = "",
): T | undefined {
  const value = document[key];
  return value === undefined || value === null ? undefined : read(value, `${path}${key}`);
}

export function truth(value: Json, key: string): boolean {
  if (typeof value !== "boolean")
    throw words(key, `expected true or false, got ${JSON.stringify(value)}`);
  return value;
}

export function number(value: Json, key: string): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value)) {
    throw words(key, `expected a whole number, got ${JSON.stringify(value)}`);
  }
  return value;
}

export function numberIn(low: number, high: number): (value: Json, key: string) => number {
  return (value, key) => {
    const found = number(value, key);
    if (found < low || found > high) throw words(key, `expected ${low} to ${high}, got ${found}`);
    return found;
  };
}
