// IP addresses, prefixes and MAC addresses as canonical strings, with the arithmetic the allocator
// and the planner need. Strings are the identity everywhere (events, state, kernel objects), so two
// spellings of one address must never meet: parse functions return the canonical form or null.
// Parsing and formatting come from ipaddr.js; family is a property of a value, never a branch in
// the callers.

import ipaddr from "ipaddr.js";
import { isCanonicalIpv6 } from "./ipv6.ts";

/** Canonical IPv4 or IPv6 address, e.g. `10.5.3.0`, `fd00::1`. */
export type Ip = string;
/** Canonical prefix with no host bits set, e.g. `10.5.3.0/24`. */
export type Cidr = string;
/** Lower-case colon-separated MAC address. */
export type Mac = string;
export type Family = "ipv4" | "ipv6";

/** An address or prefix as a number, for comparison and arithmetic. */
export interface Prefix {
  readonly family: Family;
  readonly base: bigint;
  readonly length: number;
}

export function familyOf(address: Ip | Cidr): Family {
  return address.includes(":") ? "ipv6" : "ipv4";
}

export function bitsOf(family: Family): 32 | 128 {
  return family === "ipv4" ? 32 : 128;
}

/** Canonical form of an address, or null when `text` is not one. */
export function parseIp(text: string): Ip | null {
  if (text.includes(":")) return isCanonicalIpv6(text) ? text : parseIpv6(text);
  return QUAD.test(text) ? text : null;
}

/** A dotted quad, as `quad` reads it; the engine compiles this before it compiles any loop. */
const QUAD = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

function parseIpv6(text: string): Ip | null {
  return ipaddr.IPv6.isValid(text) && !text.includes("%") ? ipaddr.parse(text).toString() : null;
}

/** A dotted quad as a number. No other form is IPv4 here: not "10.5", no octal, no leading zero. */
function quad(text: string): number | null {
  let value = 0;
  let octet = -1;
  let dots = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === DOT) {
      if (octet < 0) return null;
      value = value * 256 + octet;
      octet = -1;
      dots++;
    } else {
      if (code < ZERO || code > NINE || octet === 0) return null;
      octet = octet < 0 ? code - ZERO : octet * 10 + code - ZERO;
      if (octet > 255) return null;
    }
  }
  return dots === 3 && octet >= 0 ? value * 256 + octet : null;
}

const DOT = 46;
const ZERO = 48;
const NINE = 57;

const REMEMBERED_MAX = 16_384;
/** No prefix is longer. */
const REMEMBERED_CHARS_MAX = 64;

/** A log names the same few IPv6 prefixes again and again; this makes checking them a look-up. */
function remembered(parse: (text: string) => string | null): (text: string) => string | null {
  const known = new Map<string, string | null>();
  return (text) => {
    const found = known.get(text);
    if (found !== undefined) return found;
    const parsed = parse(text);
    if (known.size >= REMEMBERED_MAX) known.clear();
    if (text.length <= REMEMBERED_CHARS_MAX) known.set(text, parsed);
    return parsed;
  };
}

/** Canonical form of a prefix, or null when `text` is not one or has host bits set. */
export function parseCidr(text: string): Cidr | null {
  if (text.includes(":")) return parseIpv6Cidr(text);
  const slash = text.indexOf("/");
  const base = slash < 0 ? null : quad(text.slice(0, slash));
  const length = prefixLength(text, slash, 32);
  return base !== null && length !== null && base % 2 ** (32 - length) === 0 ? text : null;
}

const parseIpv6Cidr = remembered((text) => {
  const slash = text.indexOf("/");
  const ip = slash < 0 ? null : parseIp(text.slice(0, slash));
  const length = prefixLength(text, slash, 128);
  if (ip === null || length === null) return null;
  const prefix: Prefix = { family: "ipv6", base: toNumber(ip), length };
  return prefix.base === networkBase(prefix) ? `${ip}/${length}` : null;
});

function prefixLength(text: string, slash: number, max: number): number | null {
  const digits = text.slice(slash + 1);
  if (!/^(0|[1-9]\d{0,2})$/.test(digits)) return null;
  const length = Number(digits);
  return length <= max ? length : null;
}

const UNICAST_MAC = /^[\da-f][02468ace](?::[\da-f]{2}){5}$/;

/** Canonical form of a unicast MAC address, or null. */
export function parseMac(text: string): Mac | null {
  if (UNICAST_MAC.test(text) && text !== "00:00:00:00:00:00") return text;
  const mac = text.toLowerCase();
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac) || mac === "00:00:00:00:00:00") return null;
  return Number.parseInt(mac.slice(0, 2), 16) & 1 ? null : mac;
}

/** Written in the one way that is accepted. */
export const isIp = (text: string): boolean => parseIp(text) === text;
export const isCidr = (text: string): boolean => parseCidr(text) === text;
export const isMac = (text: string): boolean => parseMac(text) === text;

/** 224.0.0.0/4 or ff00::/8. */
export function isMulticast(ip: Ip): boolean {
  if (ip.includes(":")) return ip.startsWith("ff") && ip.indexOf(":") === 4;
  const first = Number(ip.slice(0, ip.indexOf(".")));
  return first >= 224 && first < 240;
}

/** Bytes of a canonical address, 4 or 16. */
export function ipBytes(ip: Ip): Uint8Array {
  return Uint8Array.from(ipaddr.parse(ip).toByteArray());
}

export function ipFromBytes(bytes: Uint8Array): Ip {
  return ipaddr.fromByteArray(Array.from(bytes)).toString();
}

export function toNumber(ip: Ip): bigint {
  const four = quad(ip);
  if (four !== null) return BigInt(four);
  let value = 0n;
  for (const byte of ipaddr.parse(ip).toByteArray()) value = (value << 8n) | BigInt(byte);
  return value;
}

export function fromNumber(family: Family, value: bigint): Ip {
  if (family === "ipv4") {
    const four = Number(value);
    return `${(four >>> 24) & 255}.${(four >>> 16) & 255}.${(four >>> 8) & 255}.${four & 255}`;
  }
  const bytes: number[] = [];
  for (let shift = bitsOf(family) - 8; shift >= 0; shift -= 8) {
    bytes.push(Number((value >> BigInt(shift)) & 0xffn));
  }
  return ipaddr.fromByteArray(bytes).toString();
}

/** The numbers behind a canonical prefix; `cidr` must come from `parseCidr`. */
export function prefixOf(cidr: Cidr): Prefix {
  const slash = cidr.indexOf("/");
  const ip = cidr.slice(0, slash);
  return { family: familyOf(ip), base: toNumber(ip), length: Number(cidr.slice(slash + 1)) };
}

/** First and last address of a prefix: numbers for IPv4, since BigInt takes ten times as long. */
export interface Span {
  readonly family: Family;
  readonly first: number | bigint;
  readonly last: number | bigint;
}

/** The last that was asked for: a claim's subnet is compared with the pool, then with others'. */
let lastCidr = "";
let lastSpan: Span = { family: "ipv4", first: 0, last: 0 };

/** `cidr` must come from `parseCidr`. */
export function spanOf(cidr: Cidr): Span {
  if (cidr === lastCidr) return lastSpan;
  lastSpan = readSpan(cidr);
  lastCidr = cidr;
  return lastSpan;
}

function readSpan(cidr: Cidr): Span {
  const slash = cidr.indexOf("/");
  const ip = cidr.slice(0, slash);
  const length = Number(cidr.slice(slash + 1));
  const four = quad(ip);
  if (four !== null) return { family: "ipv4", first: four, last: four + 2 ** (32 - length) - 1 };
  const first = toNumber(ip);
  return { family: "ipv6", first, last: first + sizeOf("ipv6", length) - 1n };
}

export function formatPrefix(prefix: Prefix): Cidr {
  return `${fromNumber(prefix.family, prefix.base)}/${prefix.length}`;
}

/** Number of addresses in a prefix of this length. */
export function sizeOf(family: Family, length: number): bigint {
  return 1n << BigInt(bitsOf(family) - length);
}

export function networkBase(prefix: Prefix): bigint {
  return prefix.base & ~(sizeOf(prefix.family, prefix.length) - 1n);
}

/** True when every address of `inner` is in `outer`. */
export function contains(outer: Prefix, inner: Prefix): boolean {
  if (outer.family !== inner.family || inner.length < outer.length) return false;
  return networkBase({ ...inner, length: outer.length }) === networkBase(outer);
}

export function containsIp(outer: Cidr, ip: Ip): boolean {
  const family = familyOf(ip);
  return contains(prefixOf(outer), { family, base: toNumber(ip), length: bitsOf(family) });
}

export function overlaps(a: Prefix, b: Prefix): boolean {
  return a.length <= b.length ? contains(a, b) : contains(b, a);
}

/** The network address of a prefix: what flannel puts on its device and uses as gateway. */
export function networkAddress(cidr: Cidr): Ip {
  return cidr.slice(0, cidr.indexOf("/"));
}

/** The host prefix of an address: `10.5.3.0` becomes `10.5.3.0/32`. */
export function hostPrefix(ip: Ip): Cidr {
  return `${ip}/${bitsOf(familyOf(ip))}`;
}
