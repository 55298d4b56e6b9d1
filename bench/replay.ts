// How fast a host replays a long log: the same stored events read undecoded, by the NATS client's
// own consumer and by our reader, read with decoding, validation and fold, and read with the chain
// hash on top as a host's tail does, in interleaved rounds; then how long a host that has a
// snapshot takes to stand at the end of that log.
// Targets: decoded, validated and folded at 0.7 of the undecoded rate; 100 ms from a snapshot.
// Usage: bun bench/replay.ts [EVENTS] [ROUNDS] [NODES]   (default 1000000 3 1000)

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { type Chain, extend, genesis, hex, recordHash } from "../src/agent/chain.ts";
import { startNatsServer } from "../src/agent/nats-server.ts";
import { fold } from "../src/events/fold.ts";
import type { EventLog, Recorded } from "../src/events/log.ts";
import { connectLog } from "../src/events/log-jetstream.ts";
import { streamName } from "../src/events/name.ts";
import { decodeSnapshot, encodeSnapshot } from "../src/events/snapshot.ts";
import { type FabricState, initialState } from "../src/events/state.ts";
import { FABRIC, fill } from "./long-log.ts";
import { machine, table } from "./support.ts";

const EVENTS = Number(process.argv[2] ?? 1_000_000);
const ROUNDS = Number(process.argv[3] ?? 3);
const NODES = Number(process.argv[4] ?? 1000);
/** Records after the snapshot, as of a host that was away for a moment. */
const BEHIND = 200;

/** As many as our reader asks for at once. */
const CLIENT_BATCH = 5000;

/** Milliseconds of the clock, and of this process on a processor. */
interface Spent {
  readonly wall: number;
  readonly cpu: number;
}

async function spentBy(work: () => Promise<void>): Promise<Spent> {
  const start = performance.now();
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return { wall: performance.now() - start, cpu: (user + system) / 1000 };
}

/** What it takes until `take` has seen every record of the log. */
function replay(log: EventLog, take: (record: Recorded) => void): Promise<Spent> {
  return spentBy(async () => {
    for await (const batch of log.read(1, new AbortController().signal)) {
      for (const record of batch) take(record);
      if ((batch.at(-1)?.seq ?? 0) >= EVENTS) break;
    }
  });
}

/** As a program reads that knows the client alone. */
async function byClient(url: string): Promise<Spent> {
  const connection = await connect({ servers: url });
  try {
    const consumer = await jetstream(connection).consumers.get(streamName(FABRIC));
    return await spentBy(async () => {
      let bytes = 0;
      for await (const message of await consumer.consume({ max_messages: CLIENT_BATCH })) {
        bytes += message.data.length;
        if (message.seq >= EVENTS) break;
      }
      if (bytes === 0) throw new Error("the log is empty");
    });
  } finally {
    await connection.close();
  }
}

async function undecoded(log: EventLog): Promise<Spent> {
  let bytes = 0;
  const spent = await replay(log, (record) => {
    bytes += record.payload.length;
  });
  if (bytes === 0) throw new Error("the log is empty");
  return spent;
}

async function folded(log: EventLog): Promise<Spent> {
  const state = initialState(FABRIC);
  const spent = await replay(log, (record) => {
    fold(state, record);
  });
  prove(state);
  return spent;
}

/** A fast fold that refused everything would be no fold. */
function prove(state: FabricState): void {
  const { seq, leases, quarantine } = state;
  if (seq !== EVENTS || leases.size !== NODES || quarantine.count !== 0) {
    throw new Error(`at ${seq}: ${leases.size} leases, ${quarantine.count} quarantined`);
  }
}

async function hashed(log: EventLog): Promise<Spent> {
  const state = initialState(FABRIC);
  let chain: Chain = genesis;
  const spent = await replay(log, (record) => {
    chain = extend(chain, record);
    fold(state, record);
  });
  prove(state);
  return spent;
}

/** The text that a host would have on disk after `seq` records. */
async function snapshotAt(log: EventLog, seq: number): Promise<string> {
  const state = initialState(FABRIC);
  let chain: Chain = genesis;
  const done = new AbortController();
  reading: for await (const batch of log.read(1, done.signal)) {
    for (const record of batch) {
      chain = extend(chain, record);
      fold(state, record);
      if (record.seq === seq) break reading;
    }
  }
  const { created } = await log.info();
  const position = { created, seq, chain: hex(chain.hash), tip: hex(chain.tip) };
  return encodeSnapshot({ position, state });
}

async function startFrom(log: EventLog, text: string): Promise<number> {
  const start = performance.now();
  const decoded = decodeSnapshot(FABRIC, text);
  if (!decoded.ok) throw new Error(decoded.reason);
  const { position, state } = decoded.snapshot;
  const info = await log.info();
  const tip = await log.get(position.seq);
  if (info.created !== position.created || tip === null || hex(recordHash(tip)) !== position.tip) {
    throw new Error("the snapshot is not of this log");
  }
  const done = new AbortController();
  for await (const batch of log.read(position.seq + 1, done.signal)) {
    for (const record of batch) fold(state, record);
    if (state.seq >= info.lastSeq) break;
  }
  prove(state);
  return performance.now() - start;
}

const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

interface Times {
  readonly byClient: Spent[];
  readonly undecoded: Spent[];
  readonly folded: Spent[];
  readonly hashed: Spent[];
}

function row(label: string, runs: readonly Spent[], times: Times): (string | number)[] {
  const wall = (of: readonly Spent[]) => median(of.map((run) => run.wall));
  const cpu = median(runs.map((run) => run.cpu));
  const ratio = (to: readonly Spent[]) => (wall(to) / wall(runs)).toFixed(2);
  const rate = `${Math.round(EVENTS / wall(runs))} k`;
  const each = `${((cpu * 1000) / EVENTS).toFixed(2)} us`;
  return [label, rate, ratio(times.byClient), ratio(times.undecoded), each];
}

async function main(url: string, version: string): Promise<void> {
  const connection = await connectLog({ servers: url, fabric: FABRIC });
  const { log } = connection;
  await connection.createStream(1);
  machine();
  const filled = await fill(url, EVENTS, NODES);
  const mean = Math.round(filled.bytes / EVENTS);
  process.stdout.write(
    `nats-server ${version}, ${EVENTS} events of ${mean} B on average, ${NODES} nodes; ` +
      `stored at ${Math.round(EVENTS / filled.ms)}k/s\n`,
  );
  const times: Times = { byClient: [], undecoded: [], folded: [], hashed: [] };
  for (let round = 0; round < ROUNDS; round++) {
    times.byClient.push(await byClient(url));
    times.undecoded.push(await undecoded(log));
    times.folded.push(await folded(log));
    times.hashed.push(await hashed(log));
  }
  table(
    ["", "events/s", "of the client's", "of our reader's", "CPU per event"],
    [
      row("read by the client's consumer", times.byClient, times),
      row("read by our reader", times.undecoded, times),
      row("and decoded, validated, folded", times.folded, times),
      row("and with the chain hash", times.hashed, times),
    ],
  );
  const text = await snapshotAt(log, EVENTS - BEHIND);
  const starts: number[] = [];
  for (let round = 0; round < 2 * ROUNDS; round++) starts.push(await startFrom(log, text));
  const kib = Math.round(text.length / 1024);
  process.stdout.write(
    `start from a snapshot of ${kib} KiB, ${BEHIND} behind: median ${median(starts).toFixed(1)}` +
      ` ms, worst ${Math.max(...starts).toFixed(1)} ms\n`,
  );
  await connection.close();
}

const storeDir = await mkdtemp(join(tmpdir(), "heddle-bench-"));
const server = await startNatsServer({ storeDir });
try {
  await main(server.url, server.version);
} finally {
  await server.stop();
  await rm(storeDir, { recursive: true, force: true });
}
