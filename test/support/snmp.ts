// What a namespace's kernel has counted of its own accord (/proc/net/snmp and snmp6).

import type { Netns } from "./netns.ts";

/** By names such as `IpInReceives`, `UdpInErrors`, `Ip6InReceives`, `Udp6NoPorts`. */
export function kernelCounts(netns: Netns): (name: string) => number {
  const text = netns.exec(["cat", "/proc/net/snmp", "/proc/net/snmp6"]);
  const counts = new Map<string, number>();
  let names: readonly string[] = [];
  for (const line of text.split("\n")) {
    const [head = "", ...rest] = line.trim().split(/\s+/);
    if (!head.endsWith(":")) counts.set(head, Number(rest[0]));
    else if (names[0] !== head) names = [head, ...rest];
    else {
      for (const [i, value] of rest.entries()) {
        counts.set(`${head.slice(0, -1)}${names[i + 1]}`, Number(value));
      }
      names = [];
    }
  }
  return (name) => {
    const count = counts.get(name);
    if (count === undefined) throw new Error(`the kernel has no counter ${name}`);
    return count;
  };
}

const IPV6_IN = ["Udp6InDatagrams", "Udp6NoPorts", "Udp6InErrors", "Ip6InHdrErrors"];

/** IPv4 packets that came in, and UDP or broken ones over IPv6, so without the neighbours' talk. */
export function packetsIn(netns: Netns): number {
  const count = kernelCounts(netns);
  return IPV6_IN.reduce((sum, name) => sum + count(name), count("IpInReceives"));
}
