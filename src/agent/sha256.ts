// SHA-256 as the runtime has it: 0.2 us for a node of the tree, 0.26 us for a record of 300 bytes.

export function sha256(bytes: Uint8Array, into = new Uint8Array(32)): Uint8Array {
  return Bun.SHA256.hash(bytes, into) as Uint8Array;
}
