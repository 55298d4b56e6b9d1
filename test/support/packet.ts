// Builders of IP packets and a slow, obvious model of what the packet path does with them:
// checksums bit by bit, superpackets cut as the kernel cuts them. Written from the RFCs, not from
// native/.

export interface PacketSpec {
  readonly family: 4 | 6;
  readonly protocol: "tcp" | "udp";
  readonly from: number;
  readonly to: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly tos: number;
  readonly ttl: number;
  readonly dontFragment: boolean;
  readonly id: number;
  readonly sequence: number;
  readonly ack: number;
  readonly flags: number;
  readonly window: number;
  /** TCP options, a multiple of four bytes. */
  readonly options: Uint8Array;
  readonly payload: Uint8Array;
}

export const FIN = 1;
export const PSH = 8;
export const ACK = 16;
export const CWR = 128;
export const VNET = 10;

/** A datagram from pod 2 to a port of pod 1 at which nobody listens, changed as wanted. */
export function udpSpec(family: 4 | 6, change: Partial<PacketSpec> = {}): PacketSpec {
  return {
    family,
    protocol: "udp",
    from: 2,
    to: 1,
    sourcePort: 9,
    destinationPort: 9,
    tos: 0,
    ttl: 9,
    dontFragment: false,
    id: 1,
    sequence: 0,
    ack: 0,
    flags: ACK,
    window: 0,
    options: new Uint8Array(),
    payload: new Uint8Array(40).fill(0x5a),
    ...change,
  };
}

/** RFC 1071, two bytes at a time, the odd byte padded with zero. */
export function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return sum;
}

export function concat(...parts: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function be(...values: [size: 1 | 2 | 4, value: number][]): Uint8Array {
  const bytes: number[] = [];
  for (const [size, value] of values) {
    for (let i = size - 1; i >= 0; i--) bytes.push(Math.floor(value / 256 ** i) & 255);
  }
  return Uint8Array.from(bytes);
}

function address(family: 4 | 6, host: number): Uint8Array {
  if (family === 4) return Uint8Array.of(10, 5, host & 255, 2);
  return Uint8Array.from([0xfd, 5, 0, host & 255, ...new Array(11).fill(0), 2]);
}

function pseudo(spec: PacketSpec, l4Length: number): Uint8Array {
  return concat(
    address(spec.family, spec.from),
    address(spec.family, spec.to),
    be([4, l4Length], [4, spec.protocol === "tcp" ? 6 : 17]),
  );
}

export function l3Length(family: 4 | 6): number {
  return family === 4 ? 20 : 40;
}

function l4Header(spec: PacketSpec, sum: number): Uint8Array {
  const { sourcePort, destinationPort, options, payload } = spec;
  if (spec.protocol === "udp") {
    return be([2, sourcePort], [2, destinationPort], [2, 8 + payload.length], [2, sum]);
  }
  const offset = (20 + options.length) / 4;
  return concat(
    be([2, sourcePort], [2, destinationPort], [4, spec.sequence], [4, spec.ack]),
    be([1, offset << 4], [1, spec.flags], [2, spec.window], [2, sum], [2, 0]),
    options,
  );
}

function ipHeader(spec: PacketSpec, l4Length: number): Uint8Array {
  const protocol = spec.protocol === "tcp" ? 6 : 17;
  const addresses = concat(address(spec.family, spec.from), address(spec.family, spec.to));
  if (spec.family === 6) {
    const first = 0x60000000 + spec.tos * 2 ** 20 + 0xabcde;
    return concat(be([4, first], [2, l4Length], [1, protocol], [1, spec.ttl]), addresses);
  }
  const header = concat(
    be([1, 0x45], [1, spec.tos], [2, 20 + l4Length], [2, spec.id]),
    be([2, spec.dontFragment ? 0x4000 : 0], [1, spec.ttl], [1, protocol], [2, 0]),
    addresses,
  );
  header.set(be([2, 0xffff - checksum(header)]), 10);
  return header;
}

/** The packet with right checksums. */
export function build(spec: PacketSpec): Uint8Array {
  const empty = concat(l4Header(spec, 0), spec.payload);
  let sum = 0xffff - checksum(concat(pseudo(spec, empty.length), empty));
  if (spec.protocol === "udp" && sum === 0) sum = 0xffff;
  return concat(ipHeader(spec, empty.length), l4Header(spec, sum), spec.payload);
}

/** The packet as the kernel hands a superpacket to a device: vnet header, checksum partial. */
export function buildSuper(spec: PacketSpec, segmentSize: number): Uint8Array {
  const length = l4Header(spec, 0).length + spec.payload.length;
  const partial = checksum(pseudo(spec, length));
  const l3 = l3Length(spec.family);
  const kind = spec.protocol === "udp" ? 5 : spec.family === 4 ? 1 : 4;
  const headers = l3 + l4Header(spec, 0).length;
  const vnet = new Uint8Array(VNET);
  const view = new DataView(vnet.buffer);
  vnet[0] = 1;
  vnet[1] = kind;
  view.setUint16(2, headers, true);
  view.setUint16(4, segmentSize, true);
  view.setUint16(6, l3, true);
  view.setUint16(8, spec.protocol === "udp" ? 6 : 16, true);
  return concat(vnet, ipHeader(spec, length), l4Header(spec, partial), spec.payload);
}

/** The packets a device with segmentation offload would put on the wire. */
export function cut(spec: PacketSpec, segmentSize: number): PacketSpec[] {
  const segments: PacketSpec[] = [];
  for (let at = 0; at < spec.payload.length; at += segmentSize) {
    const payload = spec.payload.slice(at, at + segmentSize);
    const last = at + segmentSize >= spec.payload.length;
    let { flags } = spec;
    if (at > 0) flags &= ~CWR;
    if (!last) flags &= ~(FIN | PSH);
    const id = (spec.id + segments.length) & 0xffff;
    segments.push({ ...spec, payload, flags, id, sequence: (spec.sequence + at) % 2 ** 32 });
  }
  return segments;
}

/** True when all checksums of a packet are right. */
export function checksumsRight(packet: Uint8Array): boolean {
  const family = (packet[0] ?? 0) >> 4;
  const l3 = family === 4 ? ((packet[0] ?? 0) & 15) * 4 : 40;
  if (family === 4 && checksum(packet.slice(0, l3)) !== 0xffff) return false;
  const l4 = packet.slice(l3);
  const protocol = packet[family === 4 ? 9 : 6] ?? 0;
  const addresses = family === 4 ? packet.slice(12, 20) : packet.slice(8, 40);
  return checksum(concat(addresses, be([4, l4.length], [4, protocol]), l4)) === 0xffff;
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
