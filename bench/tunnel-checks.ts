// What the tunnel's own checks and many peers cost it; what strangers cost is another benchmark:
// the same transfer with one thing changed and back, in turns, many short runs, medians of the
// ratios of neighbouring runs with their quartiles. Below the noise of a run only the median over
// many says anything.
//
//   npm run bench -- tunnel-checks
//   bun bench/tunnel-checks.ts [--rounds N] [--seconds S] [--only WORD,…]

import { join } from "node:path";
import { parseArgs } from "node:util";
import { run } from "../test/support/netns.ts";
import { machine, quantile, table, write } from "./support.ts";
import { runIperf } from "./tunnel-iperf.ts";
import { type BenchOptions, makeBenchNet, tool } from "./tunnel-net.ts";

const { values: args } = parseArgs({
  options: {
    rounds: { type: "string", default: "15" },
    seconds: { type: "string", default: "1" },
    only: { type: "string" },
  },
});
const seconds = Number(args.seconds);

const PLAIN: BenchOptions = {
  queues: 1,
  features: {},
  capabilities: ["offload", "encap"],
  extraPeers: 0,
};
const THREADS = { "kernel-encap": false, "kernel-decap": false };

interface Change {
  readonly name: string;
  /** Both ways to run; the second is the one whose cost is asked for. */
  readonly nets: readonly [BenchOptions, BenchOptions];
}

const CHANGES: readonly Change[] = [
  {
    name: "source checks, kernel path",
    nets: [
      { ...PLAIN, features: { "source-check": false, "kernel-decap": false } },
      {
        ...PLAIN,
        features: { "kernel-decap": false },
      },
    ],
  },
  {
    name: "source checks, threads",
    nets: [
      { ...PLAIN, features: { ...THREADS, "source-check": false } },
      { ...PLAIN, features: THREADS },
    ],
  },
  { name: "10 000 peers, kernel path", nets: [PLAIN, { ...PLAIN, extraPeers: 9999 }] },
  {
    name: "10 000 peers, threads",
    nets: [
      { ...PLAIN, features: THREADS },
      { ...PLAIN, features: THREADS, extraPeers: 9999 },
    ],
  },
];

const TRANSFERS = [
  { name: "TCP 1 flow", options: ["-P1"], packets: false },
  { name: "UDP 64 B", options: ["-u", "-b0", "-l64"], packets: true },
] as const;

async function contest({ name, nets }: Change): Promise<string[][]> {
  using first = makeBenchNet(nets[0]);
  using second = makeBenchNet(nets[1]);
  const rows: string[][] = [];
  for (const { name: what, options, packets } of TRANSFERS) {
    const ratios: number[] = [];
    for (let round = 0; round < Number(args.rounds); round++) {
      const one = { seconds, options, packets };
      const without = async () => (await runIperf(first, "heddle", one))[0] ?? Number.NaN;
      const withIt = async () => (await runIperf(second, "heddle", one))[0] ?? Number.NaN;
      // Each goes first in every other pair: what the machine does between must favour neither.
      const early = round % 2 === 0 ? await without() : await withIt();
      const late = round % 2 === 0 ? await withIt() : await without();
      const ratio = round % 2 === 0 ? late / early : early / late;
      ratios.push(ratio);
    }
    const cell = (q: number) => quantile(ratios, q).toFixed(3);
    rows.push([name, what, cell(0.5), `${cell(0.25)} to ${cell(0.75)}`, String(ratios.length)]);
  }
  return rows;
}

run(["make", "-s", "-C", join(import.meta.dir, "../native"), "bench"]);
machine();
for (const peers of ["2", "10000"]) write(run([tool("checks"), peers]).trim());
write(`${args.rounds} pairs of runs of ${seconds} s each`);
const only = args.only?.split(",");
const rows: string[][] = [];
for (const change of CHANGES) {
  if (only?.some((word) => change.name.includes(word)) ?? true)
    rows.push(...(await contest(change)));
}
table(["with", "transfer", "throughput, with / without", "quartiles", "pairs"], rows);
