// Slots of the kernel's counters while peers come and go for longer than there are slots.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { Tunnel } from "../../src/ffi/tunnel.ts";
import type { TunnelPeer } from "../../src/ffi/tunnel-encode.ts";
import { requireRoot } from "../support/netns.ts";
import {
  makeTunnelPair,
  ownOf,
  peerOf,
  podIp,
  type TunnelPair,
  transfer,
  tunnelOptions,
} from "../support/tunnel.ts";

setDefaultTimeout(60_000);

const root = requireRoot("peers' slots in the kernel");

/** Rows of the counters' map. */
const ROWS = 16_384;
const AT_ONCE = 1000;

/** Peers that nobody has met, none of them in pod 2's subnet. */
function strangers(generation: number, count: number): TunnelPeer[] {
  return Array.from({ length: count }, (_, i) => ({
    name: `s${generation}-${i}`,
    subnets: [`10.${100 + (i >> 8)}.${i & 255}.0/24`],
    endpoint: { ip: `198.19.${i >> 8}.${i & 255}`, port: 8285 },
    capabilities: ["offload", "encap"],
  }));
}

function ping(pair: TunnelPair): void {
  const args = ["ping", "-n", "-q", "-c", "3", "-i", "0.02", "-W", "1", podIp(2)];
  expect(Bun.spawnSync(["ip", "netns", "exec", pair.one.pod.name, ...args]).exitCode).toBe(0);
}

/** More distinct names than rows, some hundreds at once; none is left. */
function exhaust({ one: { tunnel } }: TunnelPair, always: readonly TunnelPeer[] = []): void {
  for (let generation = 0; generation * AT_ONCE < ROWS + AT_ONCE; generation += 1) {
    tunnel.setPeers([...always, ...strangers(generation, AT_ONCE)], ownOf(1));
  }
  tunnel.setPeers(always, ownOf(1));
}

describe.skipIf(!root)("after more names than there are rows", () => {
  test("a new peer is carried in the kernel and starts to count at nothing", async () => {
    using pair = makeTunnelPair();
    const { tunnel } = pair.one;
    ping(pair);
    exhaust(pair);
    const before = tunnel.counters().total;
    expect(before).toMatchObject({ tx_encap_packets: 3, rx_decap_packets: 3 });
    tunnel.setPeers([{ ...peerOf(2), name: "late" }], ownOf(1));
    ping(pair);
    const { total, peers } = tunnel.counters();
    expect(total).toMatchObject({ tx_encap_packets: 6, rx_decap_packets: 6 });
    expect([...peers.keys()]).toEqual(["late"]);
    expect(peers.get("late")).toMatchObject({ txPackets: 3, rxPackets: 3 });
  });

  test("a successor finds the totals, and who has which row", async () => {
    using pair = makeTunnelPair({ features: { persist: true } });
    ping(pair);
    exhaust(pair);
    pair.one.tunnel.setPeers([{ ...peerOf(2), name: "late" }], ownOf(1));
    ping(pair);
    pair.one.tunnel.close();
    const options = tunnelOptions(pair.one.host, 1, { features: { persist: true } });
    pair.one.tunnel = Tunnel.open({ ...options, held: true });
    const { tunnel } = pair.one;
    tunnel.setPeers(tunnel.adopted(), ownOf(1));
    const { total, peers } = tunnel.counters();
    expect(total).toMatchObject({ tx_encap_packets: 6, rx_decap_packets: 6 });
    expect(peers.get("late")).toMatchObject({ txPackets: 3, rxPackets: 3 });
    tunnel.forgetDevice();
  });

  test("a peer that came while all rows were taken gets one that is left", async () => {
    using pair = makeTunnelPair();
    const { tunnel } = pair.one;
    tunnel.setPeers([...strangers(0, ROWS), peerOf(2)], ownOf(1));
    // It had a row before those came, so somebody else has none
    tunnel.setPeers(strangers(0, ROWS), ownOf(1));
    tunnel.setPeers([...strangers(0, ROWS), { ...peerOf(2), name: "late" }], ownOf(1));
    ping(pair);
    expect(tunnel.counters().total).toMatchObject({ tx_encap_packets: 0 });
    tunnel.setPeers([...strangers(0, 10), { ...peerOf(2), name: "late" }], ownOf(1));
    tunnel.setPeers([...strangers(0, 10), { ...peerOf(2), name: "late" }], ownOf(1));
    ping(pair);
    expect(tunnel.counters().total).toMatchObject({ tx_encap_packets: 3 });
    expect(tunnel.counters().peers.get("late")).toMatchObject({ txPackets: 3 });
  });
});

describe.skipIf(!root)("while packets flow", () => {
  test("their peer's row goes from name to name, and each is counted once", async () => {
    using pair = makeTunnelPair();
    const { tunnel } = pair.one;
    const there = transfer(pair, "udp", "6000 300 3");
    let over = false;
    void there.finally(() => {
      over = true;
    });
    let generation = 0;
    for (; !over; generation += 1) {
      const renamed = { ...peerOf(2), name: `h2-${generation}` };
      tunnel.setPeers([...strangers(generation, generation % 7), renamed], ownOf(1));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await there).toEqual({ datagrams: 6000, late: 0, repeated: 0, wrong: 0 });
    expect(generation).toBeGreaterThan(20);
    const [sent, received] = [tunnel.counters().total, pair.two.tunnel.counters().total];
    expect(sent.tx_encap_packets).toBeGreaterThan(0);
    const arrived = Number(received.rx_packets) + Number(received.rx_decap_packets);
    expect(Number(sent.tx_packets) + Number(sent.tx_encap_packets)).toBe(arrived);
    expect(arrived).toBeGreaterThanOrEqual(6000);
  });
});
