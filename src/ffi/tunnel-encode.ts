// Tunnel options and peers as the structures of native/heddle.h. Every integer is checked here,
// because the FFI truncates silently; addresses are parsed by ipaddr.js.

import ipaddr from "ipaddr.js";
import {
  ADOPTED,
  CONFIG,
  ENDPOINT,
  LISTEN_MAX,
  OWN,
  PEER,
  PREFIX,
  QUEUES_MAX,
} from "./tunnel-native.ts";

export interface Endpoint {
  readonly ip: string;
  readonly port: number;
}

export interface TunnelPeer {
  readonly name: string;
  readonly subnets: readonly string[];
  readonly endpoint: Endpoint;
  /** What the peer announced: the `capabilities()` of its own tunnel. Empty for flannel. */
  readonly capabilities: readonly string[];
}

/** Beyond flannel's format, in the order of their bits (enum hp_capability). */
const TUNNEL_CAPABILITIES: readonly string[] = ["offload", "encap"];

export interface TunnelFds {
  readonly tun: readonly number[];
  readonly udp: readonly number[];
}

export interface ConfigValues {
  readonly device: string;
  readonly mtuBytes: number;
  readonly queues: number;
  readonly features: number;
  readonly listen: readonly Endpoint[];
  readonly offer: TunnelFds | null;
}

function integer(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new RangeError(`${name} must be an integer from ${min} to ${max}, not ${value}`);
}

function familyNumber(bytes: readonly number[]): 4 | 6 {
  return bytes.length === 4 ? 4 : 6;
}

function putEndpoint(view: DataView, at: number, { ip, port }: Endpoint): void {
  const bytes = ipaddr.parse(ip).toByteArray();
  new Uint8Array(view.buffer).set(bytes, at);
  view.setUint16(at + ENDPOINT.port, integer("port", port, 1, 0xffff), true);
  view.setUint8(at + ENDPOINT.family, familyNumber(bytes));
}

export function deviceName(name: string): Uint8Array {
  const bytes = new TextEncoder().encode(name);
  if (bytes.length >= 1 && bytes.length <= 15 && !/[\s/\0%]/.test(name)) return bytes;
  throw new RangeError(`"${name}" is not a device name`);
}

export function encodeConfig(values: ConfigValues): Uint8Array {
  const bytes = new Uint8Array(CONFIG.size);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, CONFIG.size, true);
  view.setUint32(CONFIG.features, values.features, true);
  view.setUint32(CONFIG.mtu, integer("mtuBytes", values.mtuBytes, 68, 65535), true);
  view.setUint32(CONFIG.queues, integer("queues", values.queues, 1, QUEUES_MAX), true);
  integer("number of listening addresses", values.listen.length, 1, LISTEN_MAX);
  view.setUint32(CONFIG.listeners, values.listen.length, true);
  bytes.set(deviceName(values.device), CONFIG.device);
  for (const [i, endpoint] of values.listen.entries()) {
    putEndpoint(view, CONFIG.listen + i * ENDPOINT.size, endpoint);
  }
  for (let i = 0; i < QUEUES_MAX; i++) {
    view.setInt32(CONFIG.tunFds + i * 4, values.offer?.tun[i] ?? -1, true);
  }
  for (let i = 0; i < LISTEN_MAX; i++) {
    view.setInt32(CONFIG.udpFds + i * 4, values.offer?.udp[i] ?? -1, true);
  }
  return bytes;
}

export function encodePeers(
  peers: readonly TunnelPeer[],
  slotOf: (name: string) => number,
): Uint8Array {
  const bytes = new Uint8Array(Math.max(1, peers.length) * PEER.size);
  const view = new DataView(bytes.buffer);
  for (const [i, peer] of peers.entries()) {
    const at = i * PEER.size;
    putEndpoint(view, at, peer.endpoint);
    view.setUint32(at + PEER.capabilities, capabilityBits(peer.capabilities), true);
    view.setUint32(at + PEER.slot, slotOf(peer.name), true);
  }
  return bytes;
}

/** Unknown capabilities belong to newer hosts and mean nothing here. */
function capabilityBits(names: readonly string[]): number {
  let bits = 0;
  for (const [bit, name] of TUNNEL_CAPABILITIES.entries()) {
    if (names.includes(name)) bits |= 1 << bit;
  }
  return bits;
}

/** Rows for all peers, then for what is ours; later rows win when two are equal. */
export function encodePrefixes(
  peers: readonly TunnelPeer[],
  own: readonly string[],
): { bytes: Uint8Array; count: number } {
  const rows = [
    ...peers.flatMap(({ subnets }, peer) => subnets.map((subnet) => ({ subnet, peer }))),
    ...own.map((subnet) => ({ subnet, peer: OWN })),
  ];
  const bytes = new Uint8Array(Math.max(1, rows.length) * PREFIX.size);
  const view = new DataView(bytes.buffer);
  for (const [i, { subnet, peer }] of rows.entries()) {
    const at = i * PREFIX.size;
    const [ip, length] = ipaddr.parseCIDR(subnet);
    const address = ip.toByteArray();
    bytes.set(address, at);
    view.setUint32(at + PREFIX.peer, peer, true);
    view.setUint8(at + PREFIX.family, familyNumber(address));
    view.setUint8(at + PREFIX.length, length);
  }
  return { bytes, count: rows.length };
}

/** A prefix of a peer as a predecessor's programs know it. */
export interface AdoptedRow {
  readonly name: string;
  readonly slot: number;
  readonly subnet: string;
  readonly endpoint: Endpoint;
  readonly capabilities: readonly string[];
}

export function decodeAdopted(bytes: Uint8Array, count: number): AdoptedRow[] {
  const view = new DataView(bytes.buffer);
  return Array.from({ length: count }, (_, row) => {
    const at = row * ADOPTED.size;
    const ip = (from: number) => bytes.subarray(from, from + 4).join(".");
    const subnet = `${ip(at + ADOPTED.addr)}/${view.getUint32(at + ADOPTED.length, true)}`;
    const text = bytes.subarray(at + ADOPTED.name, bytes.indexOf(0, at + ADOPTED.name));
    const bits = view.getUint32(at + PEER.capabilities, true);
    return {
      // Also a row without a name must be told from others, to be pruned one day.
      name: new TextDecoder().decode(text) || subnet,
      slot: view.getUint32(at + PEER.slot, true),
      subnet,
      endpoint: { ip: ip(at), port: view.getUint16(at + ENDPOINT.port, true) },
      capabilities: TUNNEL_CAPABILITIES.filter((_name, bit) => (bits & (1 << bit)) !== 0),
    };
  });
}
