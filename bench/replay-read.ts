// How fast a stored log is read, undecoded, through the reader that hosts use.
// Usage: bun bench/replay-read.ts [COUNT]   (default 200000 events of about 270 B)

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startNatsServer } from "../src/agent/nats-server.ts";
import type { EventLog } from "../src/events/log.ts";
import { connectLog } from "../src/events/log-jetstream.ts";

const PAYLOAD_BYTES = 270;
const WINDOW = 1000;
const ROUNDS = 3;

async function fill(log: EventLog, count: number): Promise<number> {
  const payload = new TextEncoder().encode(
    JSON.stringify({ data: "x".repeat(PAYLOAD_BYTES - 11) }),
  );
  const start = performance.now();
  for (let at = 0; at < count; at += WINDOW) {
    const size = Math.min(WINDOW, count - at);
    await Promise.all(
      Array.from({ length: size }, (_, i) =>
        log.append({ subject: `heddle.bench.node.n${i}.report`, payload, id: `${at + i}` }),
      ),
    );
  }
  return performance.now() - start;
}

async function replay(log: EventLog, count: number): Promise<number> {
  const done = new AbortController();
  const start = performance.now();
  let bytes = 0;
  for await (const batch of log.read(1, done.signal)) {
    for (const record of batch) bytes += record.payload.length;
    if ((batch.at(-1)?.seq ?? 0) >= count) break;
  }
  if (bytes !== count * PAYLOAD_BYTES) throw new Error(`read ${bytes} bytes`);
  return performance.now() - start;
}

async function main(count: number): Promise<void> {
  const storeDir = await mkdtemp(join(tmpdir(), "heddle-bench-"));
  const server = await startNatsServer({ storeDir });
  try {
    const connection = await connectLog({ servers: server.url, fabric: "bench" });
    await connection.createStream(1);
    const filledMs = await fill(connection.log, count);
    process.stdout.write(`nats-server ${server.version}, ${count} events of ${PAYLOAD_BYTES} B\n`);
    process.stdout.write(`append   ${rate(count, filledMs)}\n`);
    for (let round = 0; round < ROUNDS; round++) {
      process.stdout.write(`read     ${rate(count, await replay(connection.log, count))}\n`);
    }
    process.stdout.write(`peak RSS ${Math.round(process.resourceUsage().maxRSS / 1024)} MiB\n`);
    await connection.close();
  } finally {
    await server.stop();
    await rm(storeDir, { recursive: true, force: true });
  }
}

function rate(count: number, ms: number): string {
  return `${(ms / 1000).toFixed(2)} s  ${Math.round(count / ms)}k/s`;
}

await main(Number(process.argv[2] ?? 200_000));
