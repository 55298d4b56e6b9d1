// Life cycle: what open refuses and how it says so, handing over to a successor without loss,
// coming back after a kill, a device that is deleted.

import { describe, expect, test } from "bun:test";
import { Tunnel } from "../../src/ffi/tunnel.ts";
import { makeNetns, type Netns, requireRoot } from "../support/netns.ts";
import { Stopwatch } from "../support/stopwatch.ts";
import {
  dressDevice,
  makeTunnelPair,
  ownOf,
  peerOf,
  podIp,
  transfer,
  tunnelOptions,
  USERSPACE,
  untilValue,
} from "../support/tunnel.ts";

const root = requireRoot("the tunnel's life cycle");
const MIB = 2 ** 20;

async function until(condition: () => boolean): Promise<void> {
  await untilValue(() => (condition() ? true : null));
}

/** Bytes that wait in the tunnel's UDP socket, by the kernel's own list. */
function queued(host: Netns): number {
  const line = host
    .exec(["cat", "/proc/net/udp"])
    .split("\n")
    .find((row) => row.includes(":205D "));
  return Number.parseInt(line?.trim().split(/\s+/)[4]?.split(":")[1] ?? "0", 16);
}

describe.if(root)("opening a tunnel", () => {
  test("says which address is taken, and by what call", () => {
    using pair = makeTunnelPair();
    const again = { ...tunnelOptions(pair.one.host, 1, {}), device: "heddle1" };
    expect(() => Tunnel.open(again)).toThrow(/198\.18\.0\.1 port 8285: taken by another process/);
  });

  test("says that an address is not this host's", () => {
    using netns = makeNetns();
    const options = tunnelOptions(netns, 1, {});
    expect(() => Tunnel.open(options)).toThrow(/not an address of this host/);
    expect(netns.ipJson("link show").some((link) => link.ifname === "heddle0")).toBe(false);
  });

  test("says that a device of this name is something else", () => {
    using netns = makeNetns();
    netns.ip("link add name heddle0 type bridge");
    expect(() => Tunnel.open(tunnelOptions(netns, 1, {}))).toThrow(/not a multi-queue TUN device/);
  });

  test("refuses a device name, a port, an MTU and a feature that cannot be", () => {
    using netns = makeNetns();
    const good = tunnelOptions(netns, 1, {});
    expect(() => Tunnel.open({ ...good, device: "a/b" })).toThrow(/device name/);
    expect(() => Tunnel.open({ ...good, mtuBytes: 1 })).toThrow(/mtuBytes/);
    expect(() => Tunnel.open({ ...good, listen: [] })).toThrow(/listening addresses/);
    expect(() => Tunnel.open({ ...good, features: { warp: true } })).toThrow(/"warp"/);
    expect(() => Tunnel.open({ ...good, listen: [{ ip: "198.18.0.1", port: 0 }] })).toThrow(/port/);
  });

  test("reports what is on, and why a wanted feature is off", () => {
    using pair = makeTunnelPair({ underlay: 6 });
    const encap = pair.one.tunnel.features().find(({ name }) => name === "kernel-encap");
    // The programs in the kernel know IPv4 underlays only
    expect(encap).toEqual({ name: "kernel-encap", wanted: true, on: false, errno: 99 });
    expect(pair.one.tunnel.capabilities()).toEqual(["offload"]);
    const segment = pair.one.tunnel.features().find(({ name }) => name === "udp-segment");
    expect(segment).toEqual({ name: "udp-segment", wanted: true, on: true, errno: null });
  });
});

describe.if(root)("a tunnel's successor", () => {
  test("takes over in the middle of a transfer", async () => {
    using pair = makeTunnelPair({ features: USERSPACE });
    const { two } = pair;
    const moving = transfer(pair, "tcp", `${64 * MIB}`);
    const received = () => two.tunnel.counters().total.rx_bytes ?? 0;
    await until(() => received() > 4 * MIB);
    two.tunnel.pause();
    const options = tunnelOptions(two.host, 2, { features: USERSPACE });
    // A successor in another process would inherit the descriptors; here it gets them by number
    const successor = Tunnel.open({ ...options, offer: two.tunnel.fds(), held: true });
    successor.setPeers([peerOf(1)], ownOf(2));
    successor.start();
    expect(await moving).toEqual({ bytes: 64 * MIB, wrong: 0 });
    expect(successor.counters().peers.get("h1")?.rxBytes).toBeGreaterThan(MIB);
    successor.pause();
  });

  test("loses no datagram while nobody reads", async () => {
    using pair = makeTunnelPair({ features: USERSPACE });
    const { two } = pair;
    const moving = transfer(pair, "udp", "3000 300 10");
    await until(() => (two.tunnel.counters().total.rx_packets ?? 0) > 100);
    const received = () => two.tunnel.counters().total.rx_packets ?? 0;
    for (let i = 0; i < 10; i++) {
      const before = received();
      two.tunnel.pause();
      // Something must be waiting in the socket before reading goes on
      await until(() => queued(two.host) > 0);
      two.tunnel.resume();
      await until(() => received() > before);
    }
    expect(await moving).toEqual({ datagrams: 3000, late: 0, repeated: 0, wrong: 0 });
  });

  test("re-attaches to a persistent device after a kill, with its routes still there", async () => {
    using pair = makeTunnelPair();
    const { one } = pair;
    one.tunnel.close();
    const script = `
      import { Tunnel } from ${JSON.stringify(`${import.meta.dir}/../../src/ffi/tunnel.ts`)};
      Tunnel.open(${JSON.stringify({
        ...tunnelOptions(one.host, 1, {}),
        features: { persist: true },
      })});
      process.stdout.write("open\\n");
      setInterval(() => {}, 1000);`;
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
    for await (const _ of child.stdout) break;
    dressDevice(one.host, 1, 1472);
    child.kill("SIGKILL");
    await child.exited;
    expect(one.host.ipJson("route show dev heddle0")).toHaveLength(1);
    const watch = new Stopwatch();
    one.tunnel = Tunnel.open({
      ...tunnelOptions(one.host, 1, {}),
      features: { ...USERSPACE, persist: true },
      peers: [peerOf(2)],
      own: ownOf(1),
    });
    // It waits for nothing; how long it takes is for bench/handover.ts to say.
    expect(watch.freeMs()).toBeLessThan(500);
    one.pod.exec(["ping", "-c", "1", "-W", "2", podIp(2)]);
    one.tunnel.forgetDevice();
    one.tunnel.close();
    expect(one.host.ipJson("link show").some((link) => link.ifname === "heddle0")).toBe(false);
  });
});

describe.if(root)("a tunnel whose surroundings change", () => {
  test.each([
    ["the kernel path", {}],
    ["threads only", USERSPACE],
  ])("says that its device was deleted and can be opened again, by %s", async (_name, features) => {
    using pair = makeTunnelPair({ features });
    const { one } = pair;
    expect(one.tunnel.deviceError()).toBeNull();
    one.host.ip("link del heddle0");
    await until(() => one.tunnel.deviceError() !== null);
    one.tunnel.close();
    one.tunnel = Tunnel.open(tunnelOptions(one.host, 1, { features }));
    dressDevice(one.host, 1, 1472);
    one.tunnel.setPeers([peerOf(2)], ownOf(1));
    one.pod.exec(["ping", "-c", "1", "-W", "2", podIp(2)]);
  });

  test("carries again after the underlay and the device went down and up", async () => {
    using pair = makeTunnelPair();
    const { one } = pair;
    one.host.ip("link set eth0 down");
    one.host.ip("link set heddle0 down");
    one.host.ip("link set eth0 up");
    dressDevice(one.host, 1, 1472);
    await until(() => {
      const ping = ["ping", "-c", "1", "-W", "1", podIp(2)];
      return Bun.spawnSync(["ip", "netns", "exec", one.pod.name, ...ping]).exitCode === 0;
    });
    expect(await transfer(pair, "tcp", `${MIB}`)).toEqual({ bytes: MIB, wrong: 0 });
  });

  test("follows a peer to another address", async () => {
    using pair = makeTunnelPair();
    const { one, two } = pair;
    two.host.ip("addr add 198.18.0.22/24 dev eth0");
    two.tunnel.close();
    const options = tunnelOptions(two.host, 2, {});
    two.tunnel = Tunnel.open({ ...options, listen: [{ ip: "198.18.0.22", port: 8285 }] });
    dressDevice(two.host, 2, 1472);
    two.tunnel.setPeers([peerOf(1)], ownOf(2));
    const moved = { ...peerOf(2), endpoint: { ip: "198.18.0.22", port: 8285 } };
    one.tunnel.setPeers([moved], ownOf(1));
    one.pod.exec(["ping", "-c", "2", "-i", "0.01", "-W", "2", podIp(2)]);
  });
});
