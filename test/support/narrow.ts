// A routed underlay with a narrow place in it:
//
//   h1 eth0 ──1500── one [left] mid ──mtu── mid [right] two ──1500── eth0 h2
//
// The routers answer what does not fit as routers do, or keep silent about it.

import { joinByVeth, makeNetns, type Netns } from "./netns.ts";
import { underlayIp } from "./tunnel.ts";

export interface Narrow extends Disposable {
  readonly left: Netns;
  readonly right: Netns;
}

export interface NarrowOptions {
  readonly mtu: number;
  /** The routers send no ICMP errors. */
  readonly silent?: boolean;
}

const GATEWAY = { 4: "198.18.0.254", 6: "fd18::fe" } as const;

export function narrowBetween(one: Netns, two: Netns, { mtu, silent }: NarrowOptions): Narrow {
  const [left, right] = [makeNetns(), makeNetns()];
  try {
    for (const netns of [left, right]) {
      netns.exec(["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
    }
    attach(one, 1, left, "one");
    attach(two, 2, right, "two");
    joinByVeth(
      { netns: left, dev: "mid", addresses: ["192.0.2.1/24", "fd19::1/64"] },
      { netns: right, dev: "mid", addresses: ["192.0.2.2/24", "fd19::2/64"] },
    );
    for (const netns of [left, right]) netns.ip(`link set mid mtu ${mtu}`);
    left.ip("route add 198.18.0.2 via 192.0.2.2");
    left.ip("-6 route add fd18::2 via fd19::2");
    right.ip("route add 198.18.0.1 via 192.0.2.1");
    right.ip("-6 route add fd18::1 via fd19::1");
    if (silent) for (const netns of [left, right]) silence(netns);
  } catch (error) {
    dispose();
    throw error;
  }
  function dispose(): void {
    for (const netns of [left, right]) netns[Symbol.dispose]();
  }
  return { left, right, [Symbol.dispose]: dispose };
}

function attach(host: Netns, number: 1 | 2, router: Netns, dev: string): void {
  joinByVeth(
    {
      netns: host,
      dev: "eth0",
      addresses: [`${underlayIp(number)}/32`, `${underlayIp(number, 6)}/128`],
    },
    { netns: router, dev, addresses: [`${GATEWAY[4]}/32`, `${GATEWAY[6]}/128`] },
  );
  router.ip(`route add ${underlayIp(number)} dev ${dev}`);
  router.ip(`-6 route add ${underlayIp(number, 6)} dev ${dev}`);
  host.ip(`route add default via ${GATEWAY[4]} dev eth0 onlink`);
  host.ip(`-6 route add default via ${GATEWAY[6]} dev eth0 onlink`);
}

function silence(netns: Netns): void {
  const rules = `table inet silence {
    chain output {
      type filter hook output priority 0
      icmp type { destination-unreachable, time-exceeded } drop
      icmpv6 type { destination-unreachable, packet-too-big, time-exceeded } drop
    }
  }\n`;
  netns.exec(["nft", "-f", "-"], rules);
}
