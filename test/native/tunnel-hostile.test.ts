// Datagrams that must not be delivered: from strangers, from the wrong peer, to others, damaged.
// They are sent with a raw socket, so also the outer source is a lie; what arrives in the pod is
// counted by the pod's own kernel.

import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { requireRoot } from "../support/netns.ts";
import { ACK, build, concat, type PacketSpec } from "../support/packet.ts";
import {
  ipReceived,
  makeTunnelPair,
  PORT,
  type TunnelPair,
  transfer,
  USERSPACE,
  underlayIp,
  untilValue,
} from "../support/tunnel.ts";
import { nativeTool } from "../support/tunnel-build.ts";

const root = requireRoot("the tunnel's source check");

const spec: PacketSpec = {
  family: 4,
  protocol: "udp",
  from: 2,
  to: 1,
  sourcePort: 9,
  destinationPort: 9,
  tos: 0,
  ttl: 9,
  dontFragment: true,
  id: 1,
  sequence: 0,
  ack: 0,
  flags: ACK,
  window: 0,
  options: new Uint8Array(),
  payload: new Uint8Array(40).fill(0x5a),
};

function inject(pair: TunnelPair, source: string, port: number, payloads: Uint8Array[]): number {
  const list = payloads.map((payload) => {
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, payload.length, true);
    return concat(length, payload);
  });
  const command = [nativeTool("inject"), source, String(port), underlayIp(1), String(PORT)];
  const child = Bun.spawnSync(["ip", "netns", "exec", pair.two.host.name, ...command], {
    stdin: concat(...list),
  });
  return (JSON.parse(child.stdout.toString()) as { sent: number }).sent;
}

/** Waits until the tunnel has seen so many datagrams, delivered or not. */
async function seen(pair: TunnelPair, datagrams: number): Promise<Record<string, number>> {
  return await untilValue(() => {
    const { total } = pair.one.tunnel.counters();
    const names = Object.keys(total).filter((name) => name.startsWith("rx_drop"));
    const drops = names.reduce((sum, name) => sum + (total[name] ?? 0), 0);
    const all = drops + (total.rx_packets ?? 0) + (total.rx_decap_packets ?? 0);
    return all >= datagrams ? total : null;
  });
}

const crafted: [string, string, number, Uint8Array, string][] = [
  ["a stranger's address", "198.18.0.77", PORT, build(spec), "rx_drop_source"],
  ["a peer's address but another port", underlayIp(2), 4444, build(spec), "rx_drop_source"],
  [
    "an inner source of another",
    underlayIp(2),
    PORT,
    build({ ...spec, from: 9 }),
    "rx_drop_source",
  ],
  ["our own inner source", underlayIp(2), PORT, build({ ...spec, from: 1 }), "rx_drop_source"],
  ["a destination not ours", underlayIp(2), PORT, build({ ...spec, to: 9 }), "rx_drop_destination"],
  ["a TTL of 0", underlayIp(2), PORT, build({ ...spec, ttl: 0 }), "rx_drop_ttl"],
  ["a cut packet", underlayIp(2), PORT, build(spec).slice(0, 50), "rx_drop_malformed"],
  ["only a version", underlayIp(2), PORT, Uint8Array.of(0x45), "rx_drop_malformed"],
  ["nothing", underlayIp(2), PORT, new Uint8Array(), "rx_drop_malformed"],
  ["no IP", underlayIp(2), PORT, new Uint8Array(99).fill(0x10), "rx_drop_malformed"],
  ["a wrong header checksum", underlayIp(2), PORT, damaged(), "rx_drop_malformed"],
];

function damaged(): Uint8Array {
  const packet = build({ ...spec, tos: 1 });
  packet[1] = 2;
  return packet;
}

describe.if(root).each([
  ["the kernel path", {}],
  ["threads only", USERSPACE],
])("hostile datagrams, by %s", (_name, features) => {
  test.each(crafted)("with %s are counted and not delivered", async (_what, ...args) => {
    const [source, port, payload, reason] = args;
    using pair = makeTunnelPair({ features });
    const before = ipReceived(pair.one.pod);
    expect(inject(pair, source, port, Array<Uint8Array>(20).fill(payload))).toBe(20);
    const total = await seen(pair, 20);
    expect(total[reason]).toBe(20);
    expect(ipReceived(pair.one.pod)).toBe(before);
  });

  test("the same from the right peer is delivered, so the tests above can fail", async () => {
    using pair = makeTunnelPair({ features });
    const before = ipReceived(pair.one.pod);
    inject(pair, underlayIp(2), PORT, Array<Uint8Array>(20).fill(build(spec)));
    await seen(pair, 20);
    // Twenty, or fewer when they were merged
    expect(ipReceived(pair.one.pod)).toBeGreaterThan(before);
  });

  test("thousands of random ones deliver nothing and do not stop a transfer", async () => {
    using pair = makeTunnelPair({ features });
    const random = fc.sample(fc.uint8Array({ minLength: 0, maxLength: 200 }), {
      numRuns: 2000,
      seed: 11,
    });
    const headed = random.map((bytes) => concat(build(spec).slice(0, bytes.length % 29), bytes));
    const moving = transfer(pair, "tcp", `${64 * 2 ** 20}`);
    for (let i = 0; i < 5; i++) inject(pair, "198.18.0.77", PORT, headed);
    expect(await moving).toEqual({ bytes: 64 * 2 ** 20, wrong: 0 });
    const total = await seen(pair, 10_000);
    const drops = (total.rx_drop_source ?? 0) + (total.rx_drop_malformed ?? 0);
    expect(drops).toBe(10_000);
  });
});
