// Between the bytes of netlink attributes and the canonical strings of KernelState. Done by hand,
// because a pass over 5000 peers converts 30,000 addresses and the general parser took half of its
// time; events/address.ts defines the canonical form, and a test holds the two together.

import type { Ip, Mac } from "../events/address.ts";
import { familyOf, ipFromBytes } from "../events/address.ts";
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

/** RFC 5952: no leading zeros, and the first of the longest runs of zero groups becomes "::". */
function ipv6Text(bytes: Uint8Array): Ip {
  let best = 0;
  let bestEnd = 0;
  let run = 0;
  for (let group = 0; group < 8; group += 1) {
    run = groupAt(bytes, group) === 0 ? run + 1 : 0;
    if (run <= best) continue;
    best = run;
    bestEnd = group + 1;
  }
  if (best < 2) return groups(bytes, 0, 8);
  return `${groups(bytes, 0, bestEnd - best)}::${groups(bytes, bestEnd, 8)}`;
}

function groupAt(bytes: Uint8Array, group: number): number {
  return ((bytes[group * 2] ?? 0) << 8) | (bytes[group * 2 + 1] ?? 0);
}

function groups(bytes: Uint8Array, from: number, to: number): string {
  let text = "";
  for (let group = from; group < to; group += 1) {
    text += group === from ? "" : ":";
    text += groupAt(bytes, group).toString(16);
  }
  return text;
}

export function ipToBytes(ip: Ip): Uint8Array {
  if (familyOf(ip) === "ipv6") return ipv6ToBytes(ip);
  const bytes = new Uint8Array(4);
  let at = 0;
  for (let i = 0; i < ip.length; i += 1) {
    const code = ip.charCodeAt(i);
    if (code === DOT) at += 1;
    else bytes[at] = (bytes[at] ?? 0) * 10 + code - ZERO;
  }
  return bytes;
}

/** Only for canonical text: no dotted quad at the end, at most one "::". */
function ipv6ToBytes(ip: Ip): Uint8Array {
  const bytes = new Uint8Array(16);
  const gap = ip.indexOf("::");
  const head = gap < 0 ? ip : ip.slice(0, gap);
  const tail = gap < 0 ? "" : ip.slice(gap + 2);
  putGroups(bytes, 0, head);
  if (tail !== "") putGroups(bytes, 8 - tail.split(":").length, tail);
  return bytes;
}

function putGroups(bytes: Uint8Array, from: number, text: string): void {
  if (text === "") return;
  let group = from;
  for (const part of text.split(":")) {
    const value = Number.parseInt(part, 16);
    bytes[group * 2] = value >> 8;
    bytes[group * 2 + 1] = value & 0xff;
    group += 1;
  }
}

const DOT = 46;
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
