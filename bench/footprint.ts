// What an agent with 1 000 peers costs a host that has nothing to do: resident memory and CPU, read
// from /proc over a minute of idling, heartbeats included. The peers are foreign ones, appended to
// the log before the agent starts. Reach: 64 MiB, 0.5 % of a core.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { agentCommand } from "../src/cli/dev-fabric.ts";
import { encode } from "../src/events/codec.ts";
import type { Draft } from "../src/events/event.ts";
import { connectLog } from "../src/events/log-jetstream.ts";
import { subjectOf } from "../src/events/subject.ts";
import { PROGRAM, TestFabric } from "../test/support/fabric.ts";
import { machine, table } from "./support.ts";

const PEERS = 1000;
const SETTLE_MS = 10_000;
const IDLE_MS = 60_000;
/** CLK_TCK on every Linux that Bun runs on. */
const TICKS_PER_SECOND = 100;

if (process.argv[2] === "inside") await fill(process.argv[3] ?? "");
else await measure();

async function fill(url: string): Promise<void> {
  const { log, close } = await connectLog({ servers: url, fabric: "default" });
  const appends = Array.from({ length: PEERS }, (_, i) => {
    const hex = i.toString(16).padStart(4, "0");
    const draft: Draft = {
      type: "PeerAdded",
      data: {
        name: `peer-${i}`,
        subnet: `10.${100 + (i >> 8)}.${i & 255}.0/24`,
        publicIp: `198.19.${i >> 8}.${i & 255}`,
        vtepMac: `02:be:00:00:${hex.slice(0, 2)}:${hex.slice(2)}`,
      },
    };
    const id = `bench-${i}`;
    return log.append({ subject: subjectOf("default", draft), payload: encode(draft, id), id });
  });
  await Promise.all(appends);
  await close();
}

async function measure(): Promise<void> {
  const built = join(import.meta.dir, "..", "dist", "heddle");
  const rows = [];
  for (const program of [PROGRAM, ...(existsSync(built) ? [[built]] : [])]) {
    rows.push(await footprint(program));
  }
  machine();
  table(["program", "peers", "resident MiB", "of it anonymous", "idle CPU % of a core"], rows);
}

async function footprint(program: readonly string[]): Promise<(string | number)[]> {
  const fabric = await TestFabric.create({ hosts: 1 });
  let agent: Bun.Subprocess | null = null;
  try {
    await fabric.init({ Network: "10.5.0.0/16", Backend: { Type: "vxlan" } });
    const inside = [process.execPath, import.meta.path, "inside", fabric.dev.nats];
    const filled = fabric.exec(fabric.dev.switch, inside);
    if (filled.code !== 0) throw new Error(filled.err);
    const command = [...agentCommand(fabric.dev, fabric.host("h1"), program)];
    agent = Bun.spawn(command, { stdio: ["ignore", "ignore", "ignore"] });
    await fabric.ready(["h1"], PEERS);
    await Bun.sleep(SETTLE_MS);
    const before = ticks(agent.pid);
    await Bun.sleep(IDLE_MS);
    const cpu = (ticks(agent.pid) - before) / TICKS_PER_SECOND / (IDLE_MS / 1000);
    const name = program === PROGRAM ? "bin/heddle" : "dist/heddle";
    const [rss, anonymous] = [memoryMiB(agent.pid, "VmRSS"), memoryMiB(agent.pid, "RssAnon")];
    return [name, PEERS, rss, anonymous, `${(cpu * 100).toFixed(2)}`];
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
