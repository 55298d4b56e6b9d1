// IP addresses, prefixes and MAC addresses as canonical strings, with the arithmetic the allocator
// and the planner need. Strings are the identity everywhere (events, state, kernel objects), so two
// spellings of one address must never meet: parse functions return the canonical form or null.
// Parsing and formatting come from ipaddr.js; family is a property of a value, never a branch in
// the callers.

import ipaddr from "ipaddr.js";

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
  // ipaddr.js also accepts "10.5" and octal forms; only dotted quads are meant here.
  const looksRight = text.includes(":")
    ? ipaddr.IPv6.isValid(text)
    : ipaddr.IPv4.isValidFourPartDecimal(text);
  return looksRight && !text.includes("%") ? ipaddr.parse(text).toString() : null;
}

/** Canonical form of a prefix, or null when `text` is not one or has host bits set. */
export function parseCidr(text: string): Cidr | null {
  const slash = text.indexOf("/");
  if (slash < 0) return null;
  const ip = parseIp(text.slice(0, slash));
  const length = text.slice(slash + 1);
  if (ip === null || !/^(0|[1-9]\d{0,2})$/.test(length)) return null;
  const family = familyOf(ip);
  if (Number(length) > bitsOf(family)) return null;
  const prefix: Prefix = { family, base: toNumber(ip), length: Number(length) };
  return prefix.base === networkBase(prefix) ? `${ip}/${length}` : null;
}

/** Canonical form of a unicast MAC address, or null. */
export function parseMac(text: string): Mac | null {
  const mac = text.toLowerCase();
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac) || mac === "00:00:00:00:00:00") return null;
  return Number.parseInt(mac.slice(0, 2), 16) & 1 ? null : mac;
}

/** Bytes of a canonical address, 4 or 16. */
export function ipBytes(ip: Ip): Uint8Array {
  return Uint8Array.from(ipaddr.parse(ip).toByteArray());
}

export function ipFromBytes(bytes: Uint8Array): Ip {
  return ipaddr.fromByteArray(Array.from(bytes)).toString();
}

export function toNumber(ip: Ip): bigint {
  let value = 0n;
  for (const byte of ipaddr.parse(ip).toByteArray()) value = (value << 8n) | BigInt(byte);
  return value;
}

export function fromNumber(family: Family, value: bigint): Ip {
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
