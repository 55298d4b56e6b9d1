// The vocabulary of flags: each one once, with its check, its environment form and the words for
// help. A check answers with the value or throws; the message says what was expected.

import { InvalidArgumentError, Option } from "commander";
import { parseCidr, parseIp, parseMac } from "../events/address.ts";
import { GIVEN_NAME, isFabricName, isNodeName } from "../events/name.ts";
import {
  DURATION_EXPECTED,
  POINT_EXPECTED,
  type Point,
  parseDuration,
  parsePoint,
} from "../events/point.ts";
import { misuse } from "./failure.ts";

export interface LogFlags {
  readonly nats: string;
  readonly fabric: string;
  readonly creds?: string;
  readonly nkey?: string;
  readonly tlsCa?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

export interface NodeFlag {
  readonly node?: string;
}

export interface HttpFlags {
  readonly http?: string;
  readonly httpTlsCert?: string;
  readonly httpTlsKey?: string;
}

/** Environment variables, of which each flag has one. */
export type Env = Readonly<Record<string, string | undefined>>;
type Check = (value: string, previous: unknown) => unknown;

export const DEFAULT_NATS = "nats://127.0.0.1:4222";
export const DEFAULT_FABRIC = "default";

/**
 * A flag whose environment form is `HEDDLE_` and its name; empty, 0 and false there mean "not
 * given".
 */
export function flag(env: Env, words: string, help: string, check?: Check): Option {
  const option = new Option(words, help);
  const name = `HEDDLE_${(option.long ?? "").slice(2).replaceAll("-", "_").toUpperCase()}`;
  const value = env[name] ?? "";
  const off = option.isBoolean() && ["0", "false", "no"].includes(value.toLowerCase());
  if (value !== "" && !off) option.env(name);
  if (check !== undefined) option.argParser(check);
  return option;
}

/** Turns a parser that answers null into a check that says what was expected. */
export function expecting<T>(parse: (text: string) => T | null, expected: string): Check {
  return (value) => {
    const parsed = parse(value);
    if (parsed === null) throw new InvalidArgumentError(expected);
    return parsed;
  };
}

export function oneOf(words: readonly string[]): Check {
  return expecting(
    (text) => (words.includes(text) ? text : null),
    `expected ${words.join(" or ")}`,
  );
}

export function wholeNumber(min: number, max: number): Check {
  const parse = (text: string): number | null => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    return value >= min && value <= max ? value : null;
  };
  return expecting(parse, `expected a whole number from ${min} to ${max}`);
}

export const fabricName = expecting(
  (text) => (isFabricName(text) ? text : null),
  "expected a fabric name: 1 to 32 of a-z, 0-9 and -, not at either end",
);
export const nodeName = expecting(
  (text) => (isNodeName(text) ? text : null),
  "expected a node name: letters, digits, - and . as in a host name",
);
export const natsUrl = expecting(
  (text) => (text.split(",").every(isNatsUrl) ? text : null),
  'expected nats://[USER:PASSWORD@]HOST:PORT (write a "%" as %25), or several with commas between',
);
export const point = expecting<Point>(parsePoint, POINT_EXPECTED);
export const duration = expecting(parseDuration, DURATION_EXPECTED);
export const ip = expecting(parseIp, "expected an IP address");
export const ipv4 = expecting(
  (text) => (text.includes(":") ? null : parseIp(text)),
  "expected an IPv4 address",
);
export const ipv6 = expecting(
  (text) => (text.includes(":") ? parseIp(text) : null),
  "expected an IPv6 address",
);
export const cidr = expecting(
  parseCidr,
  "expected a prefix without host bits, such as 10.5.3.0/24",
);
export const mac = expecting(parseMac, "expected a unicast MAC address, such as 02:00:00:00:00:01");
export const peerName = expecting(
  (text) => (GIVEN_NAME.test(text) ? text : null),
  "expected a name of 1 to 63 letters, digits, - and .",
);

export const listen = expecting(
  (text) => (/^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):\d{1,5}$/.test(text) ? text : null),
  "expected HOST:PORT",
);
const level = expecting(
  (text) => (["debug", "info", "warning", "error"].includes(text) ? text : null),
  "expected debug, info, warning or error",
);
const format = expecting(
  (text) => (["human", "json"].includes(text) ? text : null),
  "expected human or json",
);

/** Every value given, in order. */
export function collecting(check: Check): Check {
  return (value, previous) => [
    ...(Array.isArray(previous) ? previous : []),
    check(value, undefined),
  ];
}

const NATS_URL = /^((nats|tls):\/\/)?([^@/\s]*@)?(\[[0-9a-fA-F:]+\]|[^@/:\s[\]]+)(:\d{1,5})?\/?$/;

function isNatsUrl(text: string): boolean {
  try {
    // As its user and password will be (events/log-jetstream-options.ts).
    decodeURIComponent(text);
  } catch {
    return false; // A "%" that stands for itself.
  }
  return NATS_URL.test(text);
}

/** The flags of everything that talks to the log. */
export function logFlags(env: Env): Option[] {
  return [
    flag(env, "--nats <url>", `NATS server (default: ${DEFAULT_NATS})`, natsUrl),
    fabricFlag(env),
    flag(env, "--creds <file>", "NATS credentials file"),
    flag(env, "--nkey <file>", "file with an nkey seed"),
    flag(env, "--tls-ca <file>", "certificate authority of the NATS server"),
    flag(env, "--tls-cert <file>", "TLS client certificate"),
    flag(env, "--tls-key <file>", "key of the TLS client certificate"),
  ];
}

/** The options of a command that talks to the log and can print JSON: those two and its own. */
export function onLog(own: (env: Env) => readonly Option[] = () => []) {
  return (env: Env): readonly Option[] => [...logFlags(env), ...own(env), jsonFlag(env)];
}

export function fabricFlag(env: Env): Option {
  return flag(env, "--fabric <name>", `fabric (default: ${DEFAULT_FABRIC})`, fabricName);
}

/** Where an HTTP surface listens. `fallback` says in the help what happens without --http. */
export function httpFlags(env: Env, fallback: string): Option[] {
  return [
    flag(env, "--http <host:port>", `serve HTTP there (default: ${fallback})`, listen),
    flag(env, "--http-tls-cert <file>", "certificate chain of the HTTP server"),
    flag(env, "--http-tls-key <file>", "key of that certificate"),
  ];
}

/** How much a long-running command says. */
export function loggingFlags(env: Env): Option[] {
  return [
    flag(env, "--log-level <level>", "debug, info (default), warning or error", level),
    flag(env, "--log-format <format>", "human (default) or json", format),
  ];
}

export function nodeFlag(env: Env, help = "node name (default: the host name)"): Option {
  return flag(env, "--node <name>", help, nodeName);
}

export function atFlag(env: Env): Option {
  return flag(env, "--at <seq|time>", "point in the log (default: its end)", point);
}

export function subnetFileFlag(env: Env): Option {
  return flag(env, "--subnet-file <path>", "default: /run/flannel/subnet.env");
}

export function jsonFlag(env: Env): Option {
  return flag(env, "--json", "print JSON");
}

export function socketFlag(env: Env): Option {
  return flag(env, "--socket <path>", "socket of the agent (default: /run/heddle/<fabric>.sock)");
}

/** A positional argument through the same checks as flags. Throws Failure. */
export function checkArgument<T>(name: string, value: string | undefined, check: Check): T {
  try {
    return check(value ?? "", undefined) as T;
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    throw misuse(`${name} ${JSON.stringify(value ?? "")}`, error.message);
  }
}
