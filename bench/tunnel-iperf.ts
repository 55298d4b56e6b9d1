// One run of iperf3 from pod 1 to pod 2 over one of the paths.

import { readFileSync } from "node:fs";
import { type BenchNet, type Path, podAddress } from "./tunnel-net.ts";

interface IperfSum {
  readonly bits_per_second: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly packets?: number;
  readonly lost_packets?: number;
}

export interface IperfOptions {
  readonly seconds: number;
  readonly options: readonly string[];
  /** Packets a second are asked for, not Gbit. */
  readonly packets: boolean;
}

/** Throughput, in Gbit/s or packets a second, and the machine's CPU seconds per Gbit. */
export async function runIperf(
  net: BenchNet,
  path: Path,
  { seconds, options, packets }: IperfOptions,
): Promise<number[]> {
  const address = podAddress(path, 2);
  const server = net.two.pod.spawn(["iperf3", "-s", "-1", "--forceflush", "-B", address]);
  for await (const _ of server.stdout) break;
  const busy = cpuSeconds();
  const flags = ["-t", String(seconds), "-J", "-B", podAddress(path, 1), ...options];
  const client = net.one.pod.spawn(["iperf3", "-c", address, ...flags]);
  const text = await new Response(client.stdout).text();
  const used = cpuSeconds() - busy;
  server.kill();
  await server.exited;
  const { end } = JSON.parse(text) as { end: { sum_received: IperfSum } };
  const sum = end.sum_received;
  const received = (sum.packets ?? 0) - (sum.lost_packets ?? 0);
  const gbit = packets ? (received / (sum.packets ?? 1)) * sum.bytes * 8e-9 : sum.bytes * 8e-9;
  return [packets ? received / sum.seconds : sum.bits_per_second / 1e9, used / gbit];
}

/** Seconds that all cores have been busy. */
function cpuSeconds(): number {
  const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n");
  const ticks = line.trim().split(/\s+/).slice(1).map(Number);
  // user nice system idle iowait irq softirq steal
  return (ticks.slice(0, 8).reduce((a, b) => a + b, 0) - (ticks[3] ?? 0) - (ticks[4] ?? 0)) / 100;
}
