// What a stranger costs a transfer: 10 000 random and crafted datagrams a second to the tunnel's
// port, from a source that is no peer. The stranger runs on the same cores as both hosts, so the
// same datagrams sent into a namespace that drops them are a run of their own: what that one
// costs too is the stranger's own work, and what is left is the tunnel's. Runs take turns;
// medians of the ratios within a round, with their quartiles.
//
//   npm run bench -- tunnel-hostile
//   bun bench/tunnel-hostile.ts [--rounds N] [--seconds S] [--only PATH,…]

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { joinByVeth, makeNetns, type Netns, run } from "../test/support/netns.ts";
import { build, concat, udpSpec } from "../test/support/packet.ts";
import { machine, quantile, table, write } from "./support.ts";
import { runIperf } from "./tunnel-iperf.ts";
import { type BenchNet, type BenchOptions, makeBenchNet, tool } from "./tunnel-net.ts";

const { values: args } = parseArgs({
  options: {
    rounds: { type: "string", default: "9" },
    seconds: { type: "string", default: "1" },
    only: { type: "string" },
  },
});
const seconds = Number(args.seconds);
const PER_SECOND = 10_000;
/** Where the datagrams go that no host of ours sees. */
const SINK = "198.18.9.2";
const HOST_TWO = "198.18.0.2";

const ARMS = ["without", "elsewhere", "hostile"] as const;
type Arm = (typeof ARMS)[number];
const TARGETS: Readonly<Record<Arm, string | null>> = {
  without: null,
  elsewhere: SINK,
  hostile: HOST_TWO,
};

const PLAIN: BenchOptions = {
  queues: 1,
  features: {},
  capabilities: ["offload", "encap"],
  extraPeers: 0,
};
const THREADS = { "kernel-encap": false, "kernel-decap": false };
const OPEN = { "socket-filter": false };
const PATHS: readonly (readonly [string, BenchOptions])[] = [
  ["kernel path", PLAIN],
  ["kernel path, no filter", { ...PLAIN, features: OPEN }],
  ["threads", { ...PLAIN, features: THREADS }],
  ["threads, no filter", { ...PLAIN, features: { ...THREADS, ...OPEN } }],
];

const TRANSFERS = [
  { name: "TCP 1 flow", options: ["-P1"], packets: false },
  { name: "UDP 64 B", options: ["-u", "-b0", "-l64"], packets: true },
] as const;

/** A namespace beside host one that takes datagrams off the wire and drops them. */
function makeSink({ one }: BenchNet): Netns {
  const sink = makeNetns();
  joinByVeth(
    { netns: one.host, dev: "sink", addresses: ["198.18.9.1/24"] },
    { netns: sink, dev: "eth0", addresses: [`${SINK}/24`] },
  );
  const drop = "add chain netdev t in { type filter hook ingress device eth0 priority 0; }";
  sink.exec(["nft", `add table netdev t; ${drop}; add rule netdev t in ip version 4 drop`]);
  return sink;
}

/** Crafted and random datagrams of a stranger's, at a steady rate. */
function stranger(net: BenchNet, target: string, count: number) {
  const command = [tool("inject"), "198.18.0.77", "8285", target, "8285"];
  const rate = [String(PER_SECOND), String(count)];
  return Bun.spawn(["ip", "netns", "exec", net.one.host.name, ...command, ...rate], {
    stdin: concat(...hostile()),
    stdout: "ignore",
  });
}

function flood(net: BenchNet, target: string): () => Promise<void> {
  const child = stranger(net, target, Math.round(PER_SECOND * (seconds + 2)));
  return async () => {
    child.kill();
    await child.exited;
  };
}

/** Inner packets that look right but for who sends them, and noise, as inject reads them. */
function hostile(): Uint8Array[] {
  return Array.from({ length: 64 }, (_, i) => {
    const payload = Uint8Array.from({ length: 20 + i * 4 }, (_, at) => at * 31 + i);
    const datagram = i % 2 === 0 ? build(udpSpec(4, { from: 1, to: 2, payload })) : payload;
    const size = new Uint8Array(4);
    new DataView(size.buffer).setUint32(0, datagram.length, true);
    return concat(size, datagram);
  });
}

function dropsOf({ tunnels }: BenchNet): number {
  const { total } = tunnels[1].counters();
  return Object.entries(total)
    .filter(([name]) => name.startsWith("rx_drop"))
    .reduce((sum, [, count]) => sum + count, 0);
}

function sunk(sink: Netns): number {
  const [link] = sink.ipJson("-s link show dev eth0");
  const stats = link?.stats64 as { rx: { packets: number } } | undefined;
  return stats?.rx.packets ?? 0;
}

/** Throughput beside the datagrams of `arm`; NaN when the stranger could not keep its rate. */
async function oneRun(
  net: BenchNet,
  sink: Netns,
  arm: Arm,
  { options, packets }: (typeof TRANSFERS)[number],
): Promise<number> {
  const target = TARGETS[arm];
  const arrived = () => (arm === "hostile" ? dropsOf(net) : sunk(sink));
  const before = arrived();
  const stop = target === null ? undefined : flood(net, target);
  const [throughput = Number.NaN] = await runIperf(net, "heddle", { seconds, options, packets });
  await stop?.();
  const tooFew = arm !== "without" && arrived() - before < PER_SECOND * seconds * 0.8;
  return tooFew ? Number.NaN : throughput;
}

/**
 * CPU of one datagram in microseconds: of the stranger's process, in which a veth also runs what
 * the receiving kernel does, and of the tunnel's receiving threads.
 */
async function costOf(net: BenchNet, sink: Netns, target: string): Promise<number[]> {
  const arrived = () => (target === SINK ? sunk(sink) : dropsOf(net));
  const [before, ran] = [arrived(), threadsUs()];
  const child = stranger(net, target, PER_SECOND * 3);
  await child.exited;
  const count = arrived() - before;
  const spent = Number(child.resourceUsage()?.cpuTime.total ?? 0n);
  return [spent / count, (threadsUs() - ran) / count];
}

/** Time that the receiving threads of this process have had a core. */
function threadsUs(): number {
  const tasks = readdirSync("/proc/self/task").map((task) => `/proc/self/task/${task}`);
  const own = tasks.filter((task) => readFileSync(`${task}/comm`, "utf8").startsWith("heddle-rx"));
  const ns = own.map((task) => Number(readFileSync(`${task}/schedstat`, "utf8").split(" ")[0]));
  return ns.reduce((sum, each) => sum + each, 0) / 1000;
}

/** Without a transfer beside it, so that what else the machine does counts least. */
async function costs(path: string, options: BenchOptions): Promise<string[]> {
  using net = makeBenchNet(options);
  using sink = makeSink(net);
  const all: Record<"elsewhere" | "hostile", number[][]> = { elsewhere: [], hostile: [] };
  for (let round = 0; round < 3; round++) {
    all.elsewhere.push(await costOf(net, sink, SINK));
    all.hostile.push(await costOf(net, sink, HOST_TWO));
  }
  const median = (of: number[][], column: number) =>
    quantile(
      of.map((one) => one[column] ?? Number.NaN),
      0.5,
    ).toFixed(2);
  return [path, median(all.elsewhere, 0), median(all.hostile, 0), median(all.hostile, 1)];
}

async function contest(path: string, options: BenchOptions): Promise<string[][]> {
  using net = makeBenchNet(options);
  using sink = makeSink(net);
  const rows: string[][] = [];
  for (const transfer of TRANSFERS) {
    const ratios: Record<string, number[]> = { elsewhere: [], hostile: [], both: [] };
    for (let round = 0; round < Number(args.rounds); round++) {
      const seen: Partial<Record<Arm, number>> = {};
      // Another one begins each round: what the machine does between must favour none.
      for (let i = 0; i < ARMS.length; i++) {
        const arm = ARMS[(round + i) % ARMS.length] ?? "without";
        seen[arm] = await oneRun(net, sink, arm, transfer);
      }
      const { without = Number.NaN, elsewhere = Number.NaN, hostile = Number.NaN } = seen;
      ratios.elsewhere?.push(elsewhere / without);
      ratios.hostile?.push(hostile / without);
      ratios.both?.push(hostile / elsewhere);
    }
    rows.push([path, transfer.name, ...Object.values(ratios).map(cellOf)]);
  }
  return rows;
}

function cellOf(ratios: readonly number[]): string {
  const valid = ratios.filter((ratio) => !Number.isNaN(ratio));
  const at = (q: number) => quantile(valid, q).toFixed(2);
  return `${at(0.5)} (${at(0.25)} to ${at(0.75)}), ${valid.length}`;
}

run(["make", "-s", "-C", join(import.meta.dir, "../native"), "bench"]);
machine();
const only = args.only?.split(",");
const paths = PATHS.filter(([path]) => only?.includes(path) ?? true);
const spent: string[][] = [];
for (const [path, options] of paths) spent.push(await costs(path, options));
const us = ["stranger, elsewhere us", "stranger, hostile us", "receiving threads us"];
table(["path", ...us], spent);
if (Number(args.rounds) > 0) {
  write(`${args.rounds} rounds of runs of ${seconds} s each; median (quartiles), rounds`);
  const rows: string[][] = [];
  for (const [path, options] of paths) rows.push(...(await contest(path, options)));
  const ratios = ["elsewhere / without", "hostile / without", "hostile / elsewhere"];
  table(["path", "transfer", ...ratios], rows);
}
