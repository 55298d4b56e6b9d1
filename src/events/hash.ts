// A small stable hash for spreading: where a node starts to look for a free subnet, the MAC address of
// its VTEP. FNV-1a, 64 bit, because it is written down in one line and every host must agree on it
// for ever; nothing here resists an adversary.

const OFFSET = 0xcbf29ce484222325n;
const PRIME = 0x100000001b3n;

export function fnv1a64(text: string): bigint {
  let hash = OFFSET;
  for (const byte of new TextEncoder().encode(text)) {
    hash = ((hash ^ BigInt(byte)) * PRIME) & 0xffffffffffffffffn;
  }
  return hash;
}
