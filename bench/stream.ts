// An event from its append to every client that follows the log over server-sent events: 100
// clients of one `heddle serve` (reach: p50 3 ms, p99 15 ms), then 1 000. All clients are in this
// process, so the last of them waits for it to have read the others.
// Usage: bun bench/stream.ts [EVENTS]   (default 300)

import { get } from "node:http";
import { createParser } from "eventsource-parser";
import { encode } from "../src/events/codec.ts";
import type { Draft } from "../src/events/event.ts";
import type { LogConnection } from "../src/events/log-jetstream.ts";
import { subjectOf } from "../src/events/subject.ts";
import { newToken } from "../src/http/bearer.ts";
import { TestNats } from "../test/support/nats.ts";
import { machine, quantile, table } from "./support.ts";

const FABRIC = "bench";
const EVENTS = Number(process.argv[2] ?? 300);
const PAUSE_MS = 20;
const MAIN = new URL("../src/main.ts", import.meta.url).pathname;

const nats = await TestNats.start();
const connection = await nats.connect(FABRIC);
await connection.createStream(1);
const { text: token, hash } = newToken("bench");
await append({
  type: "TokenCreated",
  data: { name: "bench", hash, scopes: ["read"], expiresAt: null },
});
const at = ["--nats", nats.url, "--fabric", FABRIC, "--http", "127.0.0.1:0"];
const server = Bun.spawn([process.execPath, MAIN, "serve", ...at], { stderr: "pipe" });
try {
  const url = await listening(server.stderr);
  while (!(await fetch(`${url}/readyz`)).ok) await Bun.sleep(20);
  const rows = [];
  for (const clients of [100, 1000]) rows.push(await measure(url, clients));
  machine();
  table(["clients", "messages", "p50 ms", "p99 ms", "server, resident MiB", "reach"], rows);
} finally {
  server.kill();
  await server.exited;
  await nats.close();
}

async function measure(url: string, count: number): Promise<(string | number)[]> {
  const stop = new AbortController();
  const sent = new Map<number, number>();
  const delays: number[] = [];
  const wanted = count * EVENTS;
  const all = Promise.withResolvers<void>();
  const onSeq = (seq: number): void => {
    const from = sent.get(seq);
    if (from !== undefined) delays.push(performance.now() - from);
    if (delays.length === wanted) all.resolve();
  };
  await Promise.all(Array.from({ length: count }, () => client(url, stop.signal, onSeq)));
  let { lastSeq } = await connection.log.info();
  for (let i = 0; i < EVENTS; i += 1) {
    sent.set(++lastSeq, performance.now());
    await append({
      type: "LeaseReserved",
      data: { subnet: `10.${i >> 8}.${i & 255}.0/24`, node: null, note: "" },
    });
    await Bun.sleep(PAUSE_MS);
  }
  await all.promise;
  const resident = await residentMib(server.pid);
  stop.abort();
  const reach = count === 100 ? "3 / 15" : "";
  return [count, delays.length, quantile(delays, 0.5), quantile(delays, 0.99), resident, reach];
}

/** Resolves when the server has answered. Not fetch, which opens 256 connections and no more. */
function client(url: string, signal: AbortSignal, onSeq: (seq: number) => void): Promise<void> {
  const headers = { accept: "text/event-stream", authorization: `Bearer ${token}` };
  const opened = Promise.withResolvers<void>();
  const parser = createParser({ onEvent: ({ id, data }) => data !== "" && onSeq(Number(id)) });
  const asked = get(`${url}/v1/events`, { headers, agent: false, signal }, (answer) => {
    if (answer.statusCode === 200) opened.resolve();
    else opened.reject(new Error(`status ${answer.statusCode}`));
    answer.setEncoding("utf8");
    answer.on("data", (text: string) => parser.feed(text));
    answer.on("error", opened.reject);
  });
  asked.on("error", opened.reject);
  return opened.promise;
}

async function append(draft: Draft): Promise<void> {
  const id = crypto.randomUUID();
  const payload = encode(draft, id);
  await (connection as LogConnection).log.append({
    subject: subjectOf(FABRIC, draft),
    payload,
    id,
  });
}

async function listening(stderr: ReadableStream<Uint8Array>): Promise<string> {
  let said = "";
  const decoder = new TextDecoder();
  for await (const chunk of stderr) {
    said += decoder.decode(chunk, { stream: true });
    const url = /url=(\S+)/.exec(said)?.[1];
    if (url !== undefined) return url;
  }
  throw new Error(`heddle serve: ${said}`);
}

async function residentMib(pid: number): Promise<number> {
  const status = await Bun.file(`/proc/${pid}/status`).text();
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}
