// What the tunnel's own checks and its surroundings cost it: the same transfer with one thing
// changed and back, in turns, many short runs, medians of the ratios of neighbouring runs with
// their quartiles. Below the noise of a run only the median over many says anything.
//
//   npm run bench -- tunnel-checks
//   bun bench/tunnel-checks.ts [--rounds N] [--seconds S] [--only WORD,…]

import { join } from "node:path";
import { parseArgs } from "node:util";
import { run } from "../test/support/netns.ts";
import { concat } from "../test/support/packet.ts";
import { machine, quantile, table, write } from "./support.ts";
import { type IperfOptions, runIperf } from "./tunnel-iperf.ts";
import { type BenchNet, type BenchOptions, makeBenchNet, tool } from "./tunnel-net.ts";

const { values: args } = parseArgs({
  options: {
    rounds: { type: "string", default: "15" },
    seconds: { type: "string", default: "1" },
    only: { type: "string" },
  },
});
const seconds = Number(args.seconds);
const HOSTILE_PER_SECOND = 10_000;

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
  /** Goes on during the second run; resolves to its own end. */
  readonly beside?: (net: BenchNet) => () => Promise<void>;
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
  { name: "10 000 hostile datagrams a second", nets: [PLAIN, PLAIN], beside: flood },
];

const TRANSFERS = [
  { name: "TCP 1 flow", options: ["-P1"], packets: false },
  { name: "UDP 64 B", options: ["-u", "-b0", "-l64"], packets: true },
] as const;

/** Crafted and random datagrams of a stranger's to the receiving host, at a steady rate. */
function flood(net: BenchNet): () => Promise<void> {
  const count = Math.round(HOSTILE_PER_SECOND * (seconds + 2));
  const command = [tool("inject"), "198.18.0.77", "8285", "198.18.0.2", "8285"];
  const rate = [String(HOSTILE_PER_SECOND), String(count)];
  const child = Bun.spawn(["ip", "netns", "exec", net.one.host.name, ...command, ...rate], {
    stdin: concat(...hostile()),
    stdout: "ignore",
  });
  return async () => {
    child.kill();
    await child.exited;
  };
}

/** Inner packets that look right but for their source, and noise, as inject reads them. */
function hostile(): Uint8Array[] {
  return Array.from({ length: 64 }, (_, i) => {
    const length = 20 + i * 4;
    const payload = Uint8Array.from({ length }, (_, at) => (i % 2 === 0 ? 0 : at * 31 + i));
    payload.set([0x45, 0, 0, length, 0, 1, 0, 0, 64, 17, 0, 0, 10, 5, 1, 2, 10, 5, 2, 2]);
    const size = new Uint8Array(4);
    new DataView(size.buffer).setUint32(0, length, true);
    return concat(size, payload);
  });
}

async function contest({ name, nets, beside }: Change): Promise<string[][]> {
  const same = nets[0] === nets[1];
  using first = makeBenchNet(nets[0]);
  using second = same ? borrowed(first) : makeBenchNet(nets[1]);
  const rows: string[][] = [];
  for (const { name: what, options, packets } of TRANSFERS) {
    const ratios: number[] = [];
    for (let round = 0; round < Number(args.rounds); round++) {
      const one = { seconds, options, packets };
      const without = async () => (await runIperf(first, "heddle", one))[0] ?? Number.NaN;
      const withIt = async () => await besides(second, beside, one);
      // Each goes first in every other pair: what the machine does between must favour neither.
      const early = round % 2 === 0 ? await without() : await withIt();
      const late = round % 2 === 0 ? await withIt() : await without();
      const ratio = round % 2 === 0 ? late / early : early / late;
      if (!Number.isNaN(ratio)) ratios.push(ratio);
    }
    const cell = (q: number) => quantile(ratios, q).toFixed(3);
    rows.push([name, what, cell(0.5), `${cell(0.25)} to ${cell(0.75)}`, String(ratios.length)]);
  }
  return rows;
}

async function besides(net: BenchNet, beside: Change["beside"], one: IperfOptions) {
  const stop = beside?.(net);
  const dropped = dropsOf(net);
  const [throughput = Number.NaN] = await runIperf(net, "heddle", one);
  await stop?.();
  const came = dropsOf(net) - dropped;
  // On a busy machine the stranger cannot keep its rate; such a pair says nothing.
  const tooFew = beside !== undefined && came < HOSTILE_PER_SECOND * seconds * 0.8;
  return tooFew ? Number.NaN : throughput;
}

function dropsOf({ tunnels }: BenchNet): number {
  const { total } = tunnels[1].counters();
  return (total.rx_drop_source ?? 0) + (total.rx_drop_malformed ?? 0);
}

function borrowed(net: BenchNet): BenchNet {
  return { ...net, [Symbol.dispose]: () => undefined };
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
