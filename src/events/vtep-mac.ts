// The MAC address of a node's VTEP. Derived, not drawn: a device that is deleted, or a host that is
// set up anew, gets the address that its peers already have in their tables. It travels in the
// log like any other, because a foreign peer's cannot be derived.

import type { Family, Mac } from "./address.ts";
import { fnv1a64 } from "./hash.ts";

/** Locally administered unicast address of `node`'s VTEP for one family. */
export function vtepMac(fabric: string, node: string, family: Family): Mac {
  // "/" is in no fabric, node or family name, so no two inputs make the same text.
  const hash = fnv1a64(`vtep/${fabric}/${node}/${family}`);
  const octets: string[] = [];
  for (let shift = 40n; shift >= 0n; shift -= 8n) {
    // FNV's low bits mix worst; fold the upper half in.
    const octet = Number(((hash >> shift) ^ (hash >> (shift + 16n))) & 0xffn);
    octets.push(
      (octets.length === 0 ? (octet & 0xfc) | 0x02 : octet).toString(16).padStart(2, "0"),
    );
  }
  return octets.join(":");
}
