// What proving costs. How far the newest signed checkpoint is behind the log while 1 000 events
// a second arrive (reach: p99 200 ms); inclusion proofs at 1 000 000 records (reach: 1 KiB, 2 ms);
// and the offline verification of an export of that size.
// Usage: bun bench/audit.ts [SECONDS] [RECORDS]   (default 20 1000000)

import { createWriteStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sha256 } from "../src/agent/sha256.ts";
import { checkpointLine, recordLine } from "../src/events/audit-export.ts";
import { checkpointText, originOf, parseNote } from "../src/events/checkpoint.ts";
import { decodeCheckpoint, LEAVES_MAX } from "../src/events/checkpoint-record.ts";
import { encode } from "../src/events/codec.ts";
import type { Draft } from "../src/events/event.ts";
import type { Recorded } from "../src/events/log.ts";
import type { LogConnection } from "../src/events/log-jetstream.ts";
import { leafHash } from "../src/events/merkle.ts";
import { isIncluded } from "../src/events/merkle-proof.ts";
import { MerkleTree } from "../src/events/merkle-tree.ts";
import { subjectOf } from "../src/events/subject.ts";
import { newSigner, writeSignerFile } from "../src/http/audit-key.ts";
import { TestNats } from "../test/support/nats.ts";
import { machine, quantile, table, write } from "./support.ts";

const FABRIC = "bench";
const SECONDS = Number(process.argv[2] ?? 20);
const RECORDS = Number(process.argv[3] ?? 1_000_000);
const RATE = 1000;
const PROOFS = 2000;
const MAIN = new URL("../src/main.ts", import.meta.url).pathname;

const { text: secret, key } = newSigner(originOf(FABRIC));
const dir = await mkdtemp(join(tmpdir(), "heddle-bench-"));

machine();
try {
  await writeSignerFile(join(dir, "key"), secret);
  const lag = await lagBehindHead();
  const proof = proofs();
  const verified = await verification();
  table(
    ["measure", "samples", "p50", "p99", "reach"],
    [
      [`checkpoint behind its record at ${RATE} events/s, ms`, lag.length, ...ends(lag), "200"],
      [`inclusion proof at ${RECORDS}, made, ms`, PROOFS, ...ends(proof.made), "2"],
      ["the same, checked, ms", PROOFS, ...ends(proof.checked), ""],
      ["the same, as the server's JSON, bytes", PROOFS, ...ends(proof.bytes), "1024"],
    ],
  );
  write(`tree of ${RECORDS}: made in ${proof.treeMs.toFixed(0)} ms of processor time`);
  write(verified);
} finally {
  await rm(dir, { recursive: true });
}

function ends(values: readonly number[]): readonly [number, number] {
  return [quantile(values, 0.5), quantile(values, 0.99)];
}

/** From the server's stamp on a record to its stamp on the first checkpoint that covers it. */
async function lagBehindHead(): Promise<number[]> {
  const nats = await TestNats.start();
  const connection = await nats.connect(FABRIC);
  await connection.createStream(1);
  const at = ["--nats", nats.url, "--fabric", FABRIC, "--http", "127.0.0.1:0"];
  const serve = ["serve", ...at, "--audit-key", join(dir, "key")];
  const server = Bun.spawn([process.execPath, MAIN, ...serve], { stderr: "ignore" });
  try {
    await firstCheckpoint(connection);
    await appendAtRate(connection);
    const { lastSeq } = await connection.log.info();
    return await lags(connection, lastSeq);
  } finally {
    server.kill();
    await server.exited;
    await nats.close();
  }
}

/** Of the record that the bench does not count: the server runs. */
async function firstCheckpoint({ log, checkpoints }: LogConnection): Promise<void> {
  await log.append({ ...record(1), id: "first" });
  for (;;) {
    const last = await checkpoints.info().catch(() => ({ lastSeq: 0 }));
    if (last.lastSeq > 0) return;
    await Bun.sleep(20);
  }
}

async function appendAtRate({ log }: LogConnection): Promise<void> {
  const startMs = performance.now();
  const acks: Promise<unknown>[] = [];
  for (let sent = 0; sent < SECONDS * RATE; ) {
    const due = Math.floor(((performance.now() - startMs) / 1000) * RATE);
    for (; sent < Math.min(due, SECONDS * RATE); sent++) {
      const { subject, payload } = record(sent + 1);
      acks.push(log.append({ subject, payload, id: `bench-${sent}` }));
    }
    await Bun.sleep(1);
  }
  await Promise.all(acks);
}

async function lags({ log, checkpoints }: LogConnection, lastSeq: number): Promise<number[]> {
  const stamps: number[] = [];
  for await (const batch of log.read(1, AbortSignal.timeout(60_000))) {
    for (const { timeMs } of batch) stamps.push(timeMs);
    if (stamps.length === lastSeq) break;
  }
  const behind: number[] = [];
  let covered = 0;
  for await (const batch of checkpoints.read(1, AbortSignal.timeout(60_000))) {
    for (const stored of batch) {
      const size = decodeCheckpoint(stored)?.checkpoint.size ?? 0;
      for (; covered < size; covered++) behind.push(stored.timeMs - (stamps[covered] ?? 0));
    }
    if (covered === lastSeq) break;
  }
  return behind.slice(1);
}

function record(seq: number): Recorded {
  const node = `node-${seq % 1000}`;
  const subnets = [`10.${seq % 250}.${(seq >> 8) % 250}.0/24`];
  const draft: Draft = {
    type: "LeaseRenewed",
    data: { node, epoch: 1, subnets, ttlSeconds: 86_400 },
  };
  const payload = encode(draft, `bench-${seq}`);
  return { seq, timeMs: 1_893_456_000_000 + seq, subject: subjectOf(FABRIC, draft), payload };
}

function proofs() {
  const before = process.cpuUsage();
  const tree = new MerkleTree(sha256);
  for (let seq = 1; seq <= RECORDS; seq++) tree.append(leafHash(sha256, record(seq)));
  const { user, system } = process.cpuUsage(before);
  const root = tree.root(RECORDS);
  const made: number[] = [];
  const checked: number[] = [];
  const bytes: number[] = [];
  for (let i = 0; i < PROOFS; i++) {
    // Spread over the whole tree, the last leaves included.
    const seq = RECORDS - Math.floor((i * RECORDS) / PROOFS);
    const startMs = performance.now();
    const path = tree.inclusion(seq - 1, RECORDS);
    const text = JSON.stringify({ seq, size: RECORDS, path: path.map((hash) => hash.toBase64()) });
    const madeMs = performance.now();
    const claim = { leaf: tree.leaf(seq - 1), index: seq - 1, size: RECORDS, root, path };
    if (!isIncluded(sha256, claim)) throw new Error(`no proof of ${seq}`);
    made.push(madeMs - startMs);
    checked.push(performance.now() - madeMs);
    bytes.push(Buffer.byteLength(text));
  }
  return { made, checked, bytes, treeMs: (user + system) / 1000 };
}

/** `heddle audit verify` of an export with a checkpoint every 100 records, as a process. */
async function verification(): Promise<string> {
  const file = join(dir, "export.ndjson");
  await writeExport(file);
  const child = Bun.spawn(
    [process.execPath, "--smol", MAIN, "audit", "verify", file, "--key", key.text],
    { stdout: "pipe" },
  );
  const said = (await new Response(child.stdout).text()).trim();
  await child.exited;
  const { cpuTime, maxRSS } = child.resourceUsage() ?? { cpuTime: { total: 0n }, maxRSS: 0 };
  const seconds = (Number(cpuTime.total) / 1e6).toFixed(1);
  const size = (Bun.file(file).size / 2 ** 20).toFixed(0);
  const memory = (maxRSS / 2 ** 20).toFixed(0);
  return `${said}: ${size} MiB in ${seconds} s of processor time, ${memory} MiB resident at most`;
}

async function writeExport(file: string): Promise<void> {
  const out = createWriteStream(file);
  const put = async (line: object): Promise<void> => {
    if (out.write(`${JSON.stringify(line)}\n`)) return;
    await new Promise((resolve) => out.once("drain", resolve));
  };
  const tree = new MerkleTree(sha256);
  const [v, from, origin] = [1, 1, originOf(FABRIC)];
  await put({ kind: "heddle-audit", v, fabric: FABRIC, created: "", from, peaks: [] });
  const step = Math.min(100, LEAVES_MAX);
  for (let seq = 1; seq <= RECORDS; seq++) {
    const each = record(seq);
    tree.append(leafHash(sha256, each));
    await put(recordLine(each));
    if (seq % step !== 0) continue;
    const checkpoint = { origin, size: seq, root: tree.root(seq) };
    const text = key.sign(checkpointText(checkpoint));
    const leaves = Array.from({ length: step }, (_, i) => tree.leaf(seq - step + i));
    const note = parseNote(text);
    if (note === null) throw new Error("unreadable note");
    await put(checkpointLine({ checkpoint, note, text, from: seq - step + 1, leaves }));
  }
  await put({ kind: "end", to: RECORDS, head: RECORDS });
  out.end();
  await new Promise((resolve) => out.once("finish", resolve));
}
