// What a process is told that cannot have a tunnel, each time by the real kernel: no device file,
// no driver, no privilege. And the names under which a tunnel counts, which others rely on.

import { describe, expect, test } from "bun:test";
import type { TunnelOptions } from "../../src/ffi/tunnel.ts";
import { joinByVeth, makeNetns, requireRoot } from "../support/netns.ts";
import { makeTunnelPair } from "../support/tunnel.ts";
import { make } from "../support/tunnel-build.ts";

const root = requireRoot("refused tunnels");
const TUNNEL = JSON.stringify(`${import.meta.dir}/../../src/ffi/tunnel.ts`);

const OPTIONS: TunnelOptions = {
  device: "heddle0",
  mtuBytes: 1472,
  listen: [{ ip: "198.18.0.1", port: 285 }],
  features: { persist: false },
};

/** What a process says that opens a tunnel in a namespace of its own, behind `prepare`. */
function opened(prepare: string): string {
  make("build/libheddle.so");
  using netns = makeNetns();
  using far = makeNetns();
  joinByVeth(
    { netns, dev: "eth0", addresses: ["198.18.0.1/24"] },
    { netns: far, dev: "eth0", addresses: [] },
  );
  const script = `
    import { Tunnel } from ${TUNNEL};
    try {
      Tunnel.open(${JSON.stringify(OPTIONS)}).close();
      console.log("opened");
    } catch (error) {
      console.log(error.message);
    }`;
  const shell = `${prepare} ${process.execPath} -e '${script}'`;
  return netns.exec(["unshare", "--mount", "sh", "-ec", shell]).trim();
}

/** The directory with the device file covered by another. */
const COVER = "mount -t tmpfs none /dev/net;";
const without = (capability: string) => `exec setpriv --bounding-set -${capability}`;

describe.if(root)("a process that cannot have a tunnel is told why", () => {
  test.each([
    ["no device file", `${COVER} exec`, /\/dev\/net\/tun is missing: modprobe tun, or give /],
    ["no driver", `${COVER} mknod /dev/net/tun c 10 254; exec`, /no TUN driver: modprobe tun/],
    [
      "a device file that it may not open",
      `${COVER} mknod -m 0 /dev/net/tun c 10 200; ${without("all")}`,
      /^no privilege to open \/dev\/net\/tun$/,
    ],
    [
      "no privilege for devices",
      without("net_admin"),
      /^no privilege to make heddle0: CAP_NET_ADMIN is needed$/,
    ],
    [
      "no privilege for its port",
      without("net_bind_service"),
      /^UDP 198\.18\.0\.1 port 285: no privilege for this port$/,
    ],
    ["nothing of that", "exec", /^opened$/],
  ])("%s", (_what, prepare, expected) => {
    expect(opened(prepare)).toMatch(expected);
  });
});

const COUNTERS = `tx_wakeups tx_packets tx_bytes tx_superpackets tx_messages tx_encap_packets
  tx_encap_bytes tx_drop_malformed tx_drop_source tx_drop_no_peer tx_drop_ttl tx_drop_too_big
  tx_drop_no_socket tx_drop_queue tx_drop_send tx_segment_refused icmp_sent icmp_suppressed
  rx_wakeups rx_messages rx_aggregates rx_packets rx_bytes rx_writes rx_superpackets
  rx_bad_checksum rx_drop_truncated rx_drop_malformed rx_drop_source rx_drop_destination
  rx_drop_ttl rx_decap_packets rx_decap_bytes rx_whole rx_drop_write rx_write_refused rx_errors`;

test.if(root)("counters keep the names that status and its readers know", () => {
  using pair = makeTunnelPair();
  const { total, peers } = pair.one.tunnel.counters();
  expect(Object.keys(total)).toEqual(COUNTERS.split(/\s+/));
  expect([...peers.entries()]).toEqual([
    ["h2", { txPackets: 0, txBytes: 0, rxPackets: 0, rxBytes: 0 }],
  ]);
});
