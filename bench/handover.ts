// What a change of agents costs the packets of the udp backend: two hosts on the real kernel, a UDP
// and a TCP stream of 1000 records a second in both directions between their containers, and in the
// middle the agent of one host is replaced. Lost are UDP datagrams of 4000 per direction; a hole is
// the longest time between two records at a receiver. "Carries after" is the time from just before
// the new process was started to the end of the UDP hole that began before. "nothing" is the same
// without a change: what is lost or late there is the machine's doing.
//
//   npm run bench -- handover
//   bun bench/handover.ts [--rounds N] [--only WORD,…] [--program dist/heddle]

import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { PROGRAM, TestFabric } from "../test/support/fabric.ts";
import { run } from "../test/support/netns.ts";
import { machine, quantile, table, write } from "./support.ts";

const { values: args } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    only: { type: "string" },
    program: { type: "string" },
  },
});
const ROUNDS = Number(args.rounds);
const program = args.program === undefined ? PROGRAM : [resolve(args.program)];
const only = args.only?.split(",");
const RECORDS = 4000;
const INTERVAL_US = 1000;
const NAMES = ["h1", "h2"] as const;
const STREAM = new URL("../native/build/stream", import.meta.url).pathname;

const V4 = { Network: "10.5.0.0/16", Backend: { Type: "udp" } };
const V6 = {
  ...{ EnableIPv4: false, EnableIPv6: true, IPv6Network: "fd00:10:5::/48" },
  Backend: { Type: "udp" },
};
const PATHS = [
  ["programs", V4],
  ["threads", V6],
] as const;

interface Seen {
  readonly records: number;
  readonly longestUs: number;
  /** Of more than 5 ms: when they ended, how long they were. */
  readonly holes: readonly (readonly [endedUs: number, us: number])[];
}

type Change = (fabric: TestFabric) => Promise<void>;
let agent: ReturnType<TestFabric["start"]> | null = null;
let startedUs = Number.NaN;

function start(fabric: TestFabric, ...extra: string[]): void {
  startedUs = (performance.timeOrigin + performance.now()) * 1000;
  agent = fabric.startAs(program, "h1", ...extra);
}

function running(): ReturnType<TestFabric["start"]> {
  if (agent === null) throw new Error("no agent runs");
  return agent;
}

const CHANGES: Readonly<Record<string, Change>> = {
  nothing: async () => undefined,
  takeover: async (fabric) => {
    const before = running();
    start(fabric, "--takeover");
    await before.exited;
  },
  "SIGTERM, start": (fabric) => restart(fabric, "SIGTERM"),
  "kill -9, start": (fabric) => restart(fabric, "SIGKILL"),
};

async function restart(fabric: TestFabric, signal: NodeJS.Signals): Promise<void> {
  running().kill(signal);
  await running().exited;
  start(fabric);
}

function address(fabric: TestFabric, name: string): string {
  const { ipv4, ipv6 } = fabric.container(name);
  return ipv4 ?? ipv6 ?? "";
}

/** One stream from container to container; resolves with what the receiver saw. */
async function stream(
  fabric: TestFabric,
  [from, to]: readonly [string, string],
  kind: "udp" | "tcp",
): Promise<{ readonly seen: Promise<Seen> }> {
  const at = [kind, address(fabric, to), kind === "udp" ? "7001" : "7002"];
  const receiver = fabric.spawn(fabric.container(to).netns, [STREAM, "receive", ...at]);
  const reader = receiver.stdout.pipeThrough(new TextDecoderStream()).getReader();
  await reader.read();
  const pace = [`${RECORDS}`, `${INTERVAL_US}`];
  fabric.spawn(fabric.container(from).netns, [STREAM, "send", ...at, ...pace]);
  return { seen: reader.read().then(({ value }) => JSON.parse(value ?? "{}") as Seen) };
}

interface Loads {
  stop(): Promise<void>;
}

/** TCP as fast as it goes, in both directions. */
async function load(fabric: TestFabric): Promise<Loads> {
  const ends = NAMES.map((name, i) => {
    const other = NAMES[1 - i] ?? "";
    const server = fabric.spawn(fabric.container(name).netns, ["iperf3", "-s", "-1"]);
    return { server, other, to: address(fabric, name) };
  });
  await Bun.sleep(300);
  const clients = ends.map(({ other, to }) =>
    fabric.spawn(fabric.container(other).netns, ["iperf3", "-c", to, "-t", "60"]),
  );
  return {
    stop: async () => {
      for (const one of [...clients, ...ends.map(({ server }) => server)]) {
        one.kill("SIGKILL");
        await one.exited;
      }
    },
  };
}

/** Milliseconds that the agent takes to answer, asked again and again until `until` resolves. */
async function answers(fabric: TestFabric, until: Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  let over = false;
  void until.then(() => {
    over = true;
  });
  while (!over) {
    const startMs = performance.now();
    if ((await fabric.status("h2")) !== null) times.push(performance.now() - startMs);
    await Bun.sleep(20);
  }
  return times;
}

/** From the start of the process to the end of the hole that it ended; 0 where there is none. */
function carriedAfter({ holes }: Seen): number {
  const its = holes.find(([endedUs, us]) => endedUs >= startedUs && endedUs - us <= startedUs);
  return its === undefined ? 0 : its[0] - startedUs;
}

async function measure(fabric: TestFabric, change: Change): Promise<readonly number[]> {
  const ways = [
    ["h1", "h2"],
    ["h2", "h1"],
  ] as const;
  const udp = await Promise.all(ways.map((way) => stream(fabric, way, "udp")));
  const tcp = await Promise.all(ways.map((way) => stream(fabric, way, "tcp")));
  await Bun.sleep(1500);
  startedUs = Number.NaN;
  await change(fabric);
  const all = Promise.all([...udp, ...tcp].map(({ seen }) => seen));
  const asked = await answers(fabric, all);
  const seen = await all;
  await fabric.ready(NAMES, 1);
  const [udp1, udp2, tcp1, tcp2] = seen;
  if (!udp1 || !udp2 || !tcp1 || !tcp2) throw new Error("a stream is missing");
  if (tcp1.records !== RECORDS || tcp2.records !== RECORDS) throw new Error("TCP lost records");
  const lost = [udp1, udp2].map(({ records }) => RECORDS - records);
  const hole = (...of: Seen[]): number => Math.max(...of.map(({ longestUs }) => longestUs)) / 1000;
  const afterMs = Math.max(carriedAfter(udp1), carriedAfter(udp2)) / 1000;
  return [...lost, hole(udp1, udp2), hole(tcp1, tcp2), afterMs, quantile(asked, 0.99)];
}

run(["make", "-s", "-C", new URL("../native", import.meta.url).pathname, "bench"]);
machine();
const starts = Array.from({ length: 15 }, () => {
  const startMs = performance.now();
  Bun.spawnSync([...program, "--version"]);
  return performance.now() - startMs;
});
write(`heddle --version, for comparison: ${quantile(starts, 0.5).toFixed(0)} ms`);
const rows: (string | number)[][] = [];
for (const [path, document] of PATHS) {
  const fabric = await TestFabric.create({ hosts: 2 });
  try {
    await fabric.init(document);
    for (const name of [...NAMES].reverse()) agent = fabric.startAs(program, name);
    await fabric.ready(NAMES, 1);
    for (const name of NAMES) fabric.container(name);
    for (const busy of [false, true]) {
      for (const [name, change] of Object.entries(CHANGES)) {
        const what = `${path} ${busy ? "full" : "none"} ${name}`;
        if (!(only?.every((word) => what.includes(word)) ?? true)) continue;
        const runs: (readonly number[])[] = [];
        for (let round = 0; round < ROUNDS; round++) {
          const loads = busy ? await load(fabric) : null;
          runs.push(await measure(fabric, change));
          await loads?.stop();
        }
        const column = (i: number): number[] => runs.map((one) => one[i] ?? Number.NaN);
        rows.push([
          path,
          busy ? "full" : "none",
          name,
          column(0).join(" "),
          column(1).join(" "),
          quantile(column(2), 0.5),
          quantile(column(3), 0.5),
          quantile(column(4), 0.5),
          quantile(column(5), 0.5),
        ]);
      }
    }
  } finally {
    agent?.kill("SIGKILL");
    await fabric.close();
  }
}
write(`${ROUNDS} rounds; lost per round; medians of the longest holes and of the 99th percentile`);
const holes = ["UDP hole ms", "TCP hole ms", "carries after ms", "agent answers ms"];
table(["path", "load", "change", "lost out", "lost in", ...holes], rows);
