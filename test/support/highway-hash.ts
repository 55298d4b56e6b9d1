// HighwayHash-64 (github.com/google/highwayhash, its portable form), as slow as it looks.

const INIT0 = [
  0xdbe6d5d5fe4cce2fn,
  0xa4093822299f31d0n,
  0x13198a2e03707344n,
  0x243f6a8885a308d3n,
] as const;
const INIT1 = [
  0x3bd39e10cb0ef593n,
  0xc0acf169b5f18a8cn,
  0xbe5466cf34e90c6cn,
  0x452821e638d01377n,
] as const;
const LOW = 0xffff_ffffn;
const PACKET = 32;

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const swap = (value: bigint): bigint => u64((value << 32n) | (value >> 32n));

/** With a key of 32 bytes. */
export function highwayHash64(key: Uint8Array, data: Uint8Array): bigint {
  const keys = lanesOf(key);
  const v0 = keys.map((lane, i) => lane ^ (INIT0[i] ?? 0n));
  const v1 = keys.map((lane, i) => swap(lane) ^ (INIT1[i] ?? 0n));
  const state = { v0, v1, mul0: [...INIT0] as bigint[], mul1: [...INIT1] as bigint[] };
  const whole = data.length - (data.length % PACKET);
  for (let at = 0; at < whole; at += PACKET) update(state, lanesOf(data.subarray(at, at + PACKET)));
  if (whole < data.length) last(state, data.subarray(whole));
  for (let round = 0; round < 4; round++) {
    update(
      state,
      [2, 3, 0, 1].map((i) => swap(at(v0, i))),
    );
  }
  return u64(at(v0, 0) + at(v1, 0) + at(state.mul0, 0) + at(state.mul1, 0));
}

interface State {
  readonly v0: bigint[];
  readonly v1: bigint[];
  readonly mul0: bigint[];
  readonly mul1: bigint[];
}

function update({ v0, v1, mul0, mul1 }: State, lanes: readonly bigint[]): void {
  for (let i = 0; i < 4; i++) {
    v1[i] = u64(at(v1, i) + at(mul0, i) + at(lanes, i));
    mul0[i] = at(mul0, i) ^ u64((at(v1, i) & LOW) * (at(v0, i) >> 32n));
    v0[i] = u64(at(v0, i) + at(mul1, i));
    mul1[i] = at(mul1, i) ^ u64((at(v0, i) & LOW) * (at(v1, i) >> 32n));
  }
  for (const i of [0, 2]) zipper(v1, v0, i);
  for (const i of [0, 2]) zipper(v0, v1, i);
}

function zipper(from: readonly bigint[], to: bigint[], i: number): void {
  const [a, b] = [at(from, i), at(from, i + 1)];
  const low =
    (((a & 0xff000000n) | (b & 0xff00000000n)) >> 24n) |
    (((a & 0xff0000000000n) | (b & 0xff000000000000n)) >> 16n) |
    (a & 0xff0000n) |
    ((a & 0xff00n) << 32n) |
    ((b & 0xff00000000000000n) >> 8n) |
    (a << 56n);
  const high =
    (((b & 0xff000000n) | (a & 0xff00000000n)) >> 24n) |
    (b & 0xff0000n) |
    ((b & 0xff0000000000n) >> 16n) |
    ((b & 0xff00n) << 24n) |
    ((a & 0xff000000000000n) >> 8n) |
    ((b & 0xffn) << 48n) |
    (a & 0xff00000000000000n);
  to[i] = u64(at(to, i) + u64(low));
  to[i + 1] = u64(at(to, i + 1) + u64(high));
}

/** What is left, 1 to 31 bytes. */
function last(state: State, rest: Uint8Array): void {
  const size = rest.length;
  const [four, odd] = [size & ~3, size & 3];
  for (let i = 0; i < 4; i++) {
    state.v0[i] = u64(at(state.v0, i) + (BigInt(size) << 32n) + BigInt(size));
    const lane = at(state.v1, i);
    state.v1[i] = (rotate(lane >> 32n, size) << 32n) | rotate(lane & LOW, size);
  }
  const packet = new Uint8Array(PACKET);
  packet.set(rest.subarray(0, four));
  if ((size & 16) !== 0) packet.set(rest.subarray(size - 4), 28);
  else if (odd > 0) {
    packet[16] = rest[four] ?? 0;
    packet[17] = rest[four + (odd >> 1)] ?? 0;
    packet[18] = rest[four + odd - 1] ?? 0;
  }
  update(state, lanesOf(packet));
}

function rotate(half: bigint, by: number): bigint {
  return ((half << BigInt(by)) | (half >> BigInt(32 - by))) & LOW;
}

function lanesOf(bytes: Uint8Array): bigint[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return [0, 8, 16, 24].map((offset) => view.getBigUint64(offset, true));
}

function at(lanes: readonly bigint[], i: number): bigint {
  return lanes[i] ?? 0n;
}
