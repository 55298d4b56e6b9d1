// What a killed process leaves in the kernel: programs that go on forwarding, which a successor
// finds, reads and replaces while packets flow, also when they are of another build, and which go
// when they are told to.

import { beforeAll, describe, expect, test } from "bun:test";
import { Tunnel, type TunnelOptions } from "../../src/ffi/tunnel.ts";
import { requireRoot } from "../support/netns.ts";
import { kernelCounts } from "../support/snmp.ts";
import {
  makeTunnelPair,
  openInChild,
  ownOf,
  peerOf,
  podIp,
  type TunnelPair,
  transfer,
  tunnelOptions,
  USERSPACE,
  untilValue,
} from "../support/tunnel.ts";
import { nativeTool } from "../support/tunnel-build.ts";

const root = requireRoot("programs that outlive the tunnel's process");
const MIB = 2 ** 20;
const PERSIST = { persist: true } as const;

/** Host 1's tunnel is another process's from here on. */
async function orphan(pair: TunnelPair, library?: string): Promise<void> {
  pair.one.tunnel.close();
  const child = await openInChild(pair.one, {}, library);
  child.kill("SIGKILL");
  await child.exited;
}

function successorOptions(pair: TunnelPair): TunnelOptions {
  return { ...tunnelOptions(pair.one.host, 1, {}), features: PERSIST, held: true };
}

/** An answer takes less than a millisecond. */
const SILENCE_S = 0.3;

/** All three come back, or none in that time. */
function pings(pair: TunnelPair, waitS = 10): boolean {
  const ping = ["ping", "-n", "-q", "-c", "3", "-i", "0.02", "-W", String(waitS), podIp(2)];
  return Bun.spawnSync(["ip", "netns", "exec", pair.one.pod.name, ...ping]).exitCode === 0;
}

/** Waits until pod 2 has received `packets` more. */
async function arriving(pair: TunnelPair, packets: number): Promise<void> {
  const received = () => kernelCounts(pair.two.pod)("IpInReceives");
  const before = received();
  await untilValue(() => (received() > before + packets ? true : null));
}

describe.skipIf(!root)("a process that was killed", () => {
  test.each(["one", "two"] as const)(
    "host %s, loses no datagram, nor does its successor",
    async (name) => {
      using pair = makeTunnelPair();
      const host = pair[name];
      host.tunnel.close();
      const child = await openInChild(host);
      const there = transfer(pair, "udp", "6000 300 3");
      await arriving(pair, 200);
      child.kill("SIGKILL");
      await child.exited;
      await arriving(pair, 200);
      const options = tunnelOptions(host.host, host.number, {});
      host.tunnel = Tunnel.open({ ...options, features: PERSIST, held: true });
      host.tunnel.setPeers(host.tunnel.adopted(), ownOf(host.number));
      host.tunnel.start();
      await arriving(pair, 200);
      expect(await there).toEqual({ datagrams: 6000, late: 0, repeated: 0, wrong: 0 });
      host.tunnel.forgetDevice();
    },
  );

  test("leaves a TCP stream that others finish, and one that starts later", async () => {
    using pair = makeTunnelPair();
    pair.one.tunnel.close();
    const child = await openInChild(pair.one);
    const moving = transfer(pair, "tcp", `${64 * MIB}`);
    await arriving(pair, 200);
    child.kill("SIGKILL");
    await child.exited;
    expect(await moving).toEqual({ bytes: 64 * MIB, wrong: 0 });
    expect(await transfer(pair, "tcp", `${16 * MIB}`)).toEqual({ bytes: 16 * MIB, wrong: 0 });
    Tunnel.forget("heddle0", pair.one.host.path);
  });

  test("receives bulk without anybody who listens", async () => {
    using pair = makeTunnelPair();
    pair.two.tunnel.close();
    const child = await openInChild(pair.two);
    child.kill("SIGKILL");
    await child.exited;
    expect(await transfer(pair, "tcp", `${16 * MIB}`)).toEqual({ bytes: 16 * MIB, wrong: 0 });
  });
});

describe.skipIf(!root)("a successor of programs in the kernel", () => {
  test("is told the peers that they carry, with what those count", async () => {
    using pair = makeTunnelPair();
    await orphan(pair);
    expect(pings(pair)).toBe(true);
    pair.one.tunnel = Tunnel.open(successorOptions(pair));
    const { tunnel } = pair.one;
    // IPv6 prefixes are never carried there
    expect(tunnel.adopted()).toEqual([{ ...peerOf(2), subnets: ["10.5.2.0/24"] }]);
    tunnel.setPeers([peerOf(2)], ownOf(1));
    expect(tunnel.counters().peers.get("h2")).toMatchObject({ txPackets: 3, rxPackets: 3 });
    tunnel.start();
    expect(pings(pair)).toBe(true);
    // Once, by one program: the predecessor's is gone
    expect(tunnel.counters().peers.get("h2")).toMatchObject({ txPackets: 6, rxPackets: 6 });
    tunnel.forgetDevice();
  });

  test("that knows nobody carries nobody", async () => {
    using pair = makeTunnelPair();
    await orphan(pair);
    pair.one.tunnel = Tunnel.open(successorOptions(pair));
    expect(pings(pair)).toBe(true);
    pair.one.tunnel.setPeers([], ownOf(1));
    expect(pings(pair, SILENCE_S)).toBe(false);
    pair.one.tunnel.forgetDevice();
  });

  test("without the kernel path takes them away", async () => {
    using pair = makeTunnelPair();
    await orphan(pair);
    const options = { ...successorOptions(pair), features: { ...PERSIST, ...USERSPACE } };
    pair.one.tunnel = Tunnel.open(options);
    expect(pair.one.tunnel.adopted()).toEqual([]);
    pair.one.tunnel.setPeers([peerOf(2)], ownOf(1));
    pair.one.tunnel.start();
    expect(pings(pair)).toBe(true);
    const { total } = pair.one.tunnel.counters();
    expect(total).toMatchObject({ tx_packets: 3, tx_encap_packets: 0 });
    pair.one.tunnel.forgetDevice();
  });

  test("gives a slot that it finds named to nobody else", async () => {
    using pair = makeTunnelPair();
    await orphan(pair);
    pair.one.tunnel = Tunnel.open(successorOptions(pair));
    const stranger = { ...peerOf(2), name: "h3", subnets: ["10.5.3.0/24"] };
    pair.one.tunnel.setPeers([peerOf(2), stranger], ownOf(1));
    pair.one.tunnel.start();
    expect(pings(pair)).toBe(true);
    const { peers } = pair.one.tunnel.counters();
    expect([peers.get("h2")?.txPackets, peers.get("h3")?.txPackets]).toEqual([3, 0]);
    pair.one.tunnel.forgetDevice();
  });
});

describe.skipIf(!root)("programs that may not outlive their process", () => {
  const LINKS = { ...PERSIST, "kernel-resident": false } as const;

  test("end with it, and take the place of those that did", async () => {
    using pair = makeTunnelPair();
    await orphan(pair);
    pair.one.tunnel = Tunnel.open({ ...successorOptions(pair), features: LINKS });
    pair.one.tunnel.setPeers([peerOf(2)], ownOf(1));
    pair.one.tunnel.start();
    expect(pings(pair)).toBe(true);
    expect(pair.one.tunnel.counters().total).toMatchObject({ tx_encap_packets: 3 });
    const on = pair.one.tunnel.features().flatMap((feature) => (feature.on ? [feature.name] : []));
    expect(on).toContain("kernel-encap");
    expect(on).not.toContain("kernel-resident");
    pair.one.tunnel.close();
    expect(pings(pair, SILENCE_S)).toBe(false);
    pair.one.tunnel = Tunnel.open({ ...successorOptions(pair), features: LINKS });
    pair.one.tunnel.forgetDevice();
  });
});

describe.skipIf(!root)("programs of another build", () => {
  let other: string;
  beforeAll(() => {
    other = nativeTool("libheddle-layout.so");
  });

  test("carry on until they are replaced, and their maps are not read", async () => {
    using pair = makeTunnelPair();
    await orphan(pair, other);
    pair.one.tunnel = Tunnel.open(successorOptions(pair));
    const { tunnel } = pair.one;
    expect(tunnel.adopted()).toEqual([]);
    tunnel.setPeers([peerOf(2)], ownOf(1));
    expect(pings(pair)).toBe(true);
    expect(tunnel.counters().total.tx_encap_packets).toBe(0);
    tunnel.start();
    expect(pings(pair)).toBe(true);
    expect(tunnel.counters().total).toMatchObject({ tx_encap_packets: 3, rx_decap_packets: 3 });
    tunnel.forgetDevice();
  });
});

describe.skipIf(!root)("programs that are not wanted any more", () => {
  test("go with the tunnel that forgets its device", async () => {
    using pair = makeTunnelPair();
    await orphan(pair);
    pair.one.tunnel = Tunnel.open(successorOptions(pair));
    pair.one.tunnel.setPeers([peerOf(2)], ownOf(1));
    pair.one.tunnel.start();
    pair.one.tunnel.forgetDevice();
    const features = pair.one.tunnel.features();
    expect(features.filter(({ name, on }) => name.startsWith("kernel-") && on)).toEqual([]);
    expect(pings(pair)).toBe(true);
    expect(pair.one.tunnel.counters().total).toMatchObject({ tx_packets: 3, rx_packets: 3 });
  });

  test("go although no tunnel is open, and what another device has stays", async () => {
    using pair = makeTunnelPair();
    await orphan(pair);
    Tunnel.forget("heddle9", pair.one.host.path);
    expect(pings(pair)).toBe(true);
    Tunnel.forget("heddle0", pair.one.host.path);
    expect(pings(pair, SILENCE_S)).toBe(false);
    pair.one.host.ip("link del heddle0");
  });

  test("go from the underlay when their device was deleted", async () => {
    using pair = makeTunnelPair();
    await orphan(pair);
    pair.one.host.ip("link del heddle0");
    pair.one.tunnel = Tunnel.open({ ...successorOptions(pair), features: USERSPACE });
    pair.one.host.ip("addr replace 10.5.1.0/32 dev heddle0");
    pair.one.host.ip("link set heddle0 mtu 1472 up");
    pair.one.host.ip("route replace 10.5.0.0/16 dev heddle0");
    pair.one.tunnel.setPeers([peerOf(2)], ownOf(1));
    pair.one.tunnel.resume();
    // What comes back is sent to a device that is no more
    expect(pings(pair, SILENCE_S)).toBe(false);
    Tunnel.forget("heddle0", pair.one.host.path);
    expect(pings(pair)).toBe(true);
  });
});
