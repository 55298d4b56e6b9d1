// What an agent with 1 000 and with 10 000 peers costs a host that has nothing to do: resident
// memory and CPU, read from /proc over a minute of idling, heartbeats included, and what its start
// took. The peers are foreign ones, appended to the log before the agent starts. Reach at 1 000:
// 64 MiB, 0.5 % of a core; at 10 000: 96 MiB, ready in 1 s.
// Usage: bun bench/footprint.ts [PEERS]…   (default 1000 10000)

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { agentCommand } from "../src/cli/dev-fabric.ts";
import { encode } from "../src/events/codec.ts";
import type { Draft } from "../src/events/event.ts";
import { connectLog } from "../src/events/log-jetstream.ts";
import { subjectOf } from "../src/events/subject.ts";
import { PROGRAM, TestFabric } from "../test/support/fabric.ts";
import { machine, table } from "./support.ts";

/** After ready: an agent gives the memory of its start back some ten seconds later. */
const SETTLE_MS = 20_000;
const APPENDED_AT_ONCE = 1000;
const IDLE_MS = 60_000;
/** CLK_TCK on every Linux that Bun runs on. */
const TICKS_PER_SECOND = 100;

const [mode, ...rest] = process.argv.slice(2);
if (mode === "inside") await fill(rest[0] ?? "", Number(rest[1]));
else await measure(mode === undefined ? [1000, 10_000] : [mode, ...rest].map(Number));

async function fill(url: string, peers: number): Promise<void> {
  const { log, close } = await connectLog({ servers: url, fabric: "default" });
  const add = (i: number) => {
    const draft = peer(i);
    const id = `bench-${i}`;
    return log.append({ subject: subjectOf("default", draft), payload: encode(draft, id), id });
  };
  for (let from = 0; from < peers; from += APPENDED_AT_ONCE) {
    const length = Math.min(APPENDED_AT_ONCE, peers - from);
    await Promise.all(Array.from({ length }, (_, i) => add(from + i)));
  }
  await close();
}

function peer(i: number): Draft {
  const hex = i.toString(16).padStart(4, "0");
  return {
    type: "PeerAdded",
    data: {
      name: `peer-${i}`,
      subnet: `10.${100 + (i >> 8)}.${i & 255}.0/24`,
      publicIp: `198.19.${i >> 8}.${i & 255}`,
      vtepMac: `02:be:00:00:${hex.slice(0, 2)}:${hex.slice(2)}`,
    },
  };
}

async function measure(counts: readonly number[]): Promise<void> {
  const built = join(import.meta.dir, "..", "dist", "heddle");
  const rows = [];
  for (const peers of counts) {
    for (const program of [PROGRAM, ...(existsSync(built) ? [[built]] : [])]) {
      rows.push(await footprint(program, peers));
    }
  }
  machine();
  const memory = ["resident MiB", "of it anonymous", "of files"];
  const spent = ["ready ms", "CPU until ready ms", "idle CPU % of a core"];
  table(["program", "peers", ...memory, ...spent], rows);
}

async function footprint(program: readonly string[], peers: number): Promise<(string | number)[]> {
  const fabric = await TestFabric.create({ hosts: 1 });
  let agent: Bun.Subprocess | null = null;
  try {
    await fabric.init({ Network: "10.5.0.0/16", Backend: { Type: "vxlan" } });
    const inside = [process.execPath, import.meta.path, "inside", fabric.dev.nats, `${peers}`];
    const filled = fabric.exec(fabric.dev.switch, inside);
    if (filled.code !== 0) throw new Error(filled.err);
    const command = [...agentCommand(fabric.dev, fabric.host("h1"), program)];
    const startMs = performance.now();
    agent = Bun.spawn(command, { stdio: ["ignore", "ignore", "ignore"] });
    await fabric.ready(["h1"], peers);
    const readyMs = performance.now() - startMs;
    const startCpuMs = (ticks(agent.pid) * 1000) / TICKS_PER_SECOND;
    await Bun.sleep(SETTLE_MS);
    const before = ticks(agent.pid);
    await Bun.sleep(IDLE_MS);
    const cpu = (ticks(agent.pid) - before) / TICKS_PER_SECOND / (IDLE_MS / 1000);
    const name = program === PROGRAM ? "bin/heddle" : "dist/heddle";
    const { pid } = agent;
    const memory = ["VmRSS", "RssAnon", "RssFile"].map((field) => memoryMiB(pid, field));
    const idle = (cpu * 100).toFixed(2);
    return [name, peers, ...memory, Math.round(readyMs), startCpuMs, idle];
  } finally {
    agent?.kill("SIGKILL");
    await agent?.exited;
    await fabric.close();
  }
}

/** User and system time of a process, all threads. */
function ticks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

function memoryMiB(pid: number, field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kib = new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1];
  return Math.round(Number(kib) / 1024);
}
