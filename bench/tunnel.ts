// The UDP tunnel against the kernel's VXLAN and plain routes: the same two pods, contenders in
// turns, medians of several rounds, ratios to VXLAN. Every run is checked by the byte counts of the
// devices: a figure whose path did not carry the bytes ends the program.
//
//   npm run bench -- tunnel [--rounds N] [--seconds S] [--only METRIC,…] [--paths PATH,…]
//                           [--queues N] [--peers N] [--off FEATURE,…] [--plain-wire]

import { parseArgs } from "node:util";
import { machine, quantile, table, write } from "./support.ts";
import { runIperf } from "./tunnel-iperf.ts";
import {
  type BenchNet,
  carried,
  makeBenchNet,
  PATHS,
  type Path,
  podAddress,
  setOffloads,
  tool,
} from "./tunnel-net.ts";

const { values: args } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "2" },
    only: { type: "string" },
    paths: { type: "string", default: PATHS.join() },
    queues: { type: "string", default: "1" },
    peers: { type: "string", default: "0" },
    off: { type: "string", default: "" },
    "plain-wire": { type: "boolean", default: false },
    verbose: { type: "boolean", default: false },
  },
});
const seconds = Number(args.seconds);

interface Metric {
  readonly name: string;
  readonly unit: string;
  readonly offloads: boolean;
  readonly measure: (net: BenchNet, path: Path) => Promise<number[]>;
  /** Further figures of the same run. */
  readonly also?: readonly string[];
}

const iperf = (name: string, unit: string, offloads: boolean, options: string): Metric => ({
  name: `${name}${offloads ? "" : ", offloads off"}`,
  unit,
  offloads,
  also: ["CPU s/Gbit"],
  measure: (net, path) =>
    runIperf(net, path, { seconds, options: options.split(" "), packets: unit === "pps" }),
});

const METRICS: readonly Metric[] = [
  iperf("TCP 1 flow", "Gbit/s", true, "-P1"),
  iperf("TCP 4 flows", "Gbit/s", true, "-P4"),
  iperf("TCP 1 flow", "Gbit/s", false, "-P1"),
  iperf("TCP 4 flows", "Gbit/s", false, "-P4"),
  iperf("UDP 64 B", "pps", true, "-u -b0 -l64"),
  iperf("UDP 1200 B", "pps", true, "-u -b0 -l1200"),
  {
    name: "TCP round trip",
    unit: "µs p50",
    offloads: true,
    also: ["µs p99", "µs p99.9"],
    measure: pingPong,
  },
];

async function pingPong(net: BenchNet, path: Path): Promise<number[]> {
  const address = podAddress(path, 2);
  const server = net.two.pod.spawn([tool("pingpong"), "server", address, "7001"]);
  for await (const _ of server.stdout) break;
  const count = String(seconds * 10_000);
  const client = net.one.pod.spawn([tool("pingpong"), "client", address, "7001", count]);
  const text = await new Response(client.stdout).text();
  await server.exited;
  const { p50, p99, p999 } = JSON.parse(text) as Record<string, number>;
  return [p50, p99, p999].map((ns) => (ns ?? Number.NaN) / 1000);
}

async function main(): Promise<void> {
  const only = args.only?.split(",");
  const metrics = METRICS.filter(({ name }) => only?.some((word) => name.includes(word)) ?? true);
  const paths = PATHS.filter((path) => args.paths.split(",").includes(path));
  const off = args.off.split(",").filter((name) => name !== "");
  using net = makeBenchNet({
    queues: Number(args.queues),
    features: Object.fromEntries(off.map((name) => [name, false])),
    capabilities: args["plain-wire"] ? [] : ["offload", "encap"],
    extraPeers: Number(args.peers),
  });
  machine();
  const rows: string[][] = [];
  for (const metric of metrics) rows.push(...(await contest(net, metric, paths)));
  table(["measure", ...paths, "heddle / vxlan"], rows);
}

async function contest(net: BenchNet, metric: Metric, paths: readonly Path[]) {
  setOffloads(net, metric.offloads);
  const found = new Map<Path, number[][]>(paths.map((path) => [path, []]));
  for (let round = 0; round < Number(args.rounds); round++) {
    for (const path of paths) {
      const before = carried(net, path);
      const tunnelBefore = net.tunnels.map((tunnel) => tunnel.counters().total);
      found.get(path)?.push(await metric.measure(net, path));
      const bytes = carried(net, path) - before;
      if (bytes < 100_000) throw new Error(`${metric.name}: ${path} carried only ${bytes} bytes`);
      if (args.verbose && path === "heddle") tell(net, tunnelBefore);
    }
  }
  return [metric.unit, ...(metric.also ?? [])].map((unit, figure) => {
    const medians = paths.map((path) =>
      quantile(
        (found.get(path) ?? []).map((run) => run[figure] ?? Number.NaN),
        0.5,
      ),
    );
    const of = (path: Path) => medians[paths.indexOf(path)] ?? Number.NaN;
    const cells = medians.map((value) => digits(value));
    const name = figure === 0 ? metric.name : "";
    return [`${name} ${unit}`.trim(), ...cells, (of("heddle") / of("vxlan")).toFixed(2)];
  });
}

const digits = (value: number) => (value >= 1000 ? value.toFixed(0) : value.toPrecision(3));

/** Counters of one run, for whoever tunes. */
function tell(net: BenchNet, before: Readonly<Record<string, number>>[]): void {
  for (const [i, tunnel] of net.tunnels.entries()) {
    const now = Object.entries(tunnel.counters().total);
    const moved = now.map(([name, value]) => [name, value - (before[i]?.[name] ?? 0)] as const);
    write(
      `h${i + 1} ${moved
        .filter(([, n]) => n !== 0)
        .map(([name, n]) => `${name}=${n}`)
        .join(" ")}`,
    );
  }
}

await main();
