// Small stable hashes. 64 bit for spreading: where a node starts to look for a free subnet, the MAC
// address of its VTEP; FNV-1a, because it is written down in one line and every host must agree on
// it for ever. 32 bit, quick, as the checksum of a file. Nothing here resists an adversary.

const OFFSET = 0xcbf29ce484222325n;
const PRIME = 0x100000001b3n;

export function fnv1a64(text: string): bigint {
  let hash = OFFSET;
  for (const byte of new TextEncoder().encode(text)) {
    hash = ((hash ^ BigInt(byte)) * PRIME) & 0xffffffffffffffffn;
  }
  return hash;
}

/** Over UTF-16 code units, so that a text of megabytes need not be encoded first. */
export function fnv1a32(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
