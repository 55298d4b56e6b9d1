// Between the bytes of netlink attributes and the canonical strings of KernelState. Done by hand,
// because a pass over 5000 peers converts 30,000 addresses and the general parser took half of its
// time; events/address.ts defines the canonical form, and a test holds the two together.

import type { Ip, Mac } from "../events/address.ts";
import { familyOf, ipFromBytes } from "../events/address.ts";
import { readGroups, writeGroups } from "../events/ipv6.ts";
import { AF_INET, AF_INET6 } from "../ffi/netlink/constants.ts";

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

export function afOf(address: string): number {
  return familyOf(address) === "ipv4" ? AF_INET : AF_INET6;
}

/** The all-zero address of a family: what the kernel means by an absent RTA_DST. */
export function anyIp(af: number): Ip {
  return af === AF_INET ? "0.0.0.0" : "::";
}

export function ipText(bytes: Uint8Array): Ip {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`;
  return bytes.length === 16 ? ipv6Text(bytes) : ipFromBytes(bytes);
}

function ipv6Text(bytes: Uint8Array): Ip {
  for (let i = 0; i < 8; i += 1) groups[i] = ((bytes[i * 2] ?? 0) << 8) | (bytes[i * 2 + 1] ?? 0);
  return writeGroups(groups);
}

const groups = new Uint16Array(8);

export function ipToBytes(ip: Ip): Uint8Array {
  if (familyOf(ip) === "ipv6") return ipv6ToBytes(ip);
  const bytes = new Uint8Array(4);
  putIpv4(bytes, 0, ip);
  return bytes;
}

/** Reads `text` up to its end or a slash. */
export function putIpv4(into: Uint8Array, from: number, text: string): void {
  let at = from;
  let value = 0;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code === SLASH) break;
    if (code === DOT) {
      into[at++] = value;
      value = 0;
    } else value = value * 10 + code - ZERO;
  }
  into[at] = value;
}

/** Only for canonical text. */
function ipv6ToBytes(ip: Ip): Uint8Array {
  readGroups(ip, groups);
  const bytes = new Uint8Array(16);
  for (let i = 0; i < 8; i += 1) {
    bytes[i * 2] = (groups[i] ?? 0) >> 8;
    bytes[i * 2 + 1] = (groups[i] ?? 0) & 0xff;
  }
  return bytes;
}

const DOT = 46;
const SLASH = 47;
const ZERO = 48;
const LOWER_A = 97;

export function macText(bytes: Uint8Array): Mac {
  let text = HEX[bytes[0] ?? 0] ?? "";
  for (let i = 1; i < bytes.length; i += 1) text += `:${HEX[bytes[i] ?? 0]}`;
  return text;
}

export function macToBytes(mac: Mac): Uint8Array {
  const bytes = new Uint8Array(6);
  for (let i = 0; i < 6; i += 1) {
    bytes[i] = (nibble(mac.charCodeAt(i * 3)) << 4) | nibble(mac.charCodeAt(i * 3 + 1));
  }
  return bytes;
}

/** Of a lower-case hexadecimal digit. */
function nibble(code: number): number {
  return code < LOWER_A ? code - ZERO : code - LOWER_A + 10;
}

/** `10.5.3.0/24` as its two parts. */
export function splitPrefix(prefix: string): { readonly ip: Ip; readonly length: number } {
  const slash = prefix.indexOf("/");
  return { ip: prefix.slice(0, slash), length: Number(prefix.slice(slash + 1)) };
}
