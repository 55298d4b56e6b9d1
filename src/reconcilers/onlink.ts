// Which addresses are reachable without a gateway. Asked once per peer, so prefixes are parsed once
// and IPv4 is compared as 32-bit numbers: with bigint this would be most of the cost of a plan.

import {
  type Cidr,
  contains,
  type Ip,
  type Prefix,
  prefixOf,
  toNumber,
} from "../events/address.ts";

export function onlinkTest(prefixes: readonly Cidr[]): (ip: Ip) => boolean {
  const parsed = prefixes.map(prefixOf);
  const four = parsed.filter((prefix) => prefix.family === "ipv4").map(maskOf);
  const six = parsed.filter((prefix) => prefix.family === "ipv6");
  return (ip) => {
    if (ip.includes(":")) return six.length > 0 && holds(six, ip);
    const value = quad(ip);
    return four.some(({ base, mask }) => (value & mask) >>> 0 === base);
  };
}

function holds(prefixes: readonly Prefix[], ip: Ip): boolean {
  const host: Prefix = { family: "ipv6", base: toNumber(ip), length: 128 };
  return prefixes.some((prefix) => contains(prefix, host));
}

function maskOf(prefix: Prefix): { base: number; mask: number } {
  // A shift by 32 is a shift by 0 in JavaScript.
  const mask = prefix.length === 0 ? 0 : (0xffffffff << (32 - prefix.length)) >>> 0;
  return { base: Number(prefix.base), mask };
}

function quad(ip: Ip): number {
  let value = 0;
  for (const part of ip.split(".")) value = value * 256 + Number(part);
  return value;
}
