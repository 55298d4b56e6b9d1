// The recorded netlink messages of test/fixtures/netlink and their JSON form, in which bytes are
// hex strings.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { addr } from "../../src/ffi/netlink/addr.ts";
import { link } from "../../src/ffi/netlink/link.ts";
import { neigh } from "../../src/ffi/netlink/neigh.ts";
import { nexthop } from "../../src/ffi/netlink/nexthop.ts";
import { route } from "../../src/ffi/netlink/route.ts";

export const tables = { link, addr, neigh, route, nexthop } as const;

export interface Fixture {
  /** `route/ipv4-onlink`. */
  readonly name: string;
  readonly noun: keyof typeof tables;
  /** The command that made the object. */
  readonly command: string;
  readonly payload: Uint8Array;
  readonly json: unknown;
}

const ROOT = join(import.meta.dir, "../fixtures/netlink");

export function fixtures(): Fixture[] {
  return (Object.keys(tables) as (keyof typeof tables)[]).flatMap((noun) =>
    readdirSync(join(ROOT, noun))
      .filter((file) => file.endsWith(".hex"))
      .sort()
      .map((file) => read(noun, file)),
  );
}

function read(noun: keyof typeof tables, file: string): Fixture {
  const [comment = "", ...hex] = readFileSync(join(ROOT, noun, file), "utf8").split("\n");
  const json = readFileSync(join(ROOT, noun, file.replace(".hex", ".json")), "utf8");
  return {
    name: `${noun}/${file.replace(".hex", "")}`,
    noun,
    command: comment.slice(2),
    payload: Uint8Array.fromHex(hex.join("")),
    json: JSON.parse(json),
  };
}

/** A decoded message as JSON holds it. */
export function toJson(value: unknown): unknown {
  if (value instanceof Uint8Array) return value.toHex();
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, toJson(item)]));
}
