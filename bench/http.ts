// The hook over a log of 1 000 000 events of 1 000 nodes: how long a state of any point takes, what
// the server then holds in memory, and how many pages of 1 000 events it answers; and over three
// hosts, from a change to "every host has applied it".
// Targets: 200 ms and 256 MiB resident; 200 pages a second of one core; p50 15 ms.
// Usage: bun bench/http.ts [EVENTS] [NODES]   (default 1000000 1000)
//
// The part that changes the fabric runs inside the namespace of the server: `inside URL TOKEN`.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startNatsServer } from "../src/agent/nats-server.ts";
import { connectLog } from "../src/events/log-jetstream.ts";
import { PROGRAM, TestFabric, until } from "../test/support/fabric.ts";
import { FABRIC, fill } from "./long-log.ts";
import { machine, quantile, table, write } from "./support.ts";

const EVENTS = Number(process.argv[2] ?? 1_000_000);
const NODES = Number(process.argv[3] ?? 1000);
const WARM_UP = 20;
const STATES = 100;
const PAGES = 400;
const CHANGES = 200;
const TICKS_PER_SECOND = 100;

if (process.argv[2] === "inside") await change(process.argv[3] ?? "", process.argv[4] ?? "");
else {
  machine();
  await longLog();
  await threeHosts();
}

/** `heddle serve`, and what its process has used so far. */
interface Server {
  readonly url: string;
  readonly pid: number;
}

async function longLog(): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "heddle-bench-"));
  const nats = await startNatsServer({ storeDir: join(dir, "store") });
  const connection = await connectLog({ servers: nats.url, fabric: FABRIC });
  const log = ["--nats", nats.url, "--fabric", FABRIC];
  let child: Bun.Subprocess | null = null;
  try {
    await connection.createStream(1);
    await fill(nats.url, EVENTS, NODES);
    const create = [...PROGRAM, "token", "create", "--name", "bench", "--scope", "read", ...log];
    const token = Bun.spawnSync(create).stdout.toString().trim();
    const args = [...log, "--http", "127.0.0.1:0", "--log-format", "json"];
    const startMs = performance.now();
    const serving = Bun.spawn([...PROGRAM, "serve", ...args], { stderr: "pipe", stdin: "ignore" });
    child = serving;
    const server = { url: await urlOf(serving.stderr), pid: serving.pid };
    await until("ready", 120_000, async () => (await fetch(`${server.url}/readyz`)).ok);
    write(`${await peak(server)} MiB resident, at most, when ready`);
    write(`ready after ${((performance.now() - startMs) / 1000).toFixed(1)} s`);
    await measureLong(server, token);
  } finally {
    child?.kill("SIGKILL");
    await child?.exited;
    await connection.close();
    await nats.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

async function measureLong(server: Server, token: string): Promise<void> {
  const ask = asking(server.url, token);
  // Multiples of the golden ratio are spread evenly, and each is far from the one before.
  let asked = 0;
  const anywhere = (): number => 1 + Math.floor(((++asked * 0.618_033_988_7) % 1) * EVENTS);
  for (let i = 0; i < WARM_UP; i++) await ask(`/v1/state?at=${anywhere()}`);
  const states: number[] = [];
  for (let i = 0; i < STATES; i++) {
    states.push(await ask(`/v1/state?at=${anywhere()}`));
  }
  const [p50, p99] = [quantile(states, 0.5), quantile(states, 0.99)];
  const rows: (string | number)[][] = [
    ["state at any point", STATES, p50, p99, "ms, p50 and p99; reach 200", await peak(server)],
  ];
  for (const [what, from] of [
    ["page of 1 000, the newest", () => EVENTS - 1000],
    ["page of 1 000, anywhere", anywhere],
  ] as const) {
    for (let i = 0; i < WARM_UP; i++) await ask(`/v1/events?limit=1000&from=${from()}`);
    const before = await cpuMs(server);
    const startMs = performance.now();
    for (let i = 0; i < PAGES; i++) await ask(`/v1/events?limit=1000&from=${from()}`);
    const wall = PAGES / ((performance.now() - startMs) / 1000);
    const core = PAGES / (((await cpuMs(server)) - before) / 1000);
    const unit = "a second, and a second of one core; reach 200";
    rows.push([what, PAGES, wall, core, unit, await peak(server)]);
  }
  table(["what", "samples", "", "", "unit", "most resident so far, MiB; reach 256"], rows);
}

/** Most MiB that were resident at one time so far. */
async function peak({ pid }: Server): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, "utf8");
  return Math.round(Number(/VmHWM:\s+(\d+) kB/.exec(text)?.[1]) / 1024);
}

async function threeHosts(): Promise<void> {
  const names = ["h1", "h2", "h3"];
  const fabric = await TestFabric.create({ hosts: names.length });
  let child: Bun.Subprocess | null = null;
  try {
    await fabric.init({ Network: "10.5.0.0/16", Backend: { Type: "vxlan" } });
    for (const name of names) fabric.start(name);
    await fabric.ready(names, names.length - 1);
    const token = fabric.heddle("token", "create", "--name", "ci", "--scope", "write").out;
    const flags = ["--nats", fabric.dev.nats, "--http", "127.0.0.1:0", "--log-format", "json"];
    const serving = fabric.spawn(fabric.dev.switch, [...PROGRAM, "serve", ...flags]);
    child = serving;
    const url = await urlOf(serving.stderr);
    const inside = [process.execPath, import.meta.path, "inside", url, token];
    const ran = fabric.spawn(fabric.dev.switch, inside);
    write((await new Response(ran.stdout).text()).trimEnd());
  } finally {
    child?.kill("SIGKILL");
    await child?.exited;
    await fabric.close();
  }
}

/** From just before the change is sent until all hosts have it, by the hook's own word. */
async function change(url: string, token: string): Promise<void> {
  const ask = asking(url, token);
  await until("ready", 10_000, async () => (await fetch(`${url}/readyz`)).ok);
  const both: number[] = [];
  const waits: number[] = [];
  for (let i = 0; i < WARM_UP + CHANGES; i++) {
    const peer = { name: "lb", subnet: `10.77.${i % 256}.0/24`, publicIp: `198.18.1.${i % 256}` };
    const vtepMac = `02:be:00:00:00:${(i % 256).toString(16).padStart(2, "0")}`;
    const startMs = performance.now();
    const answer = await fetch(`${url}/v1/peers`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ ...peer, vtepMac }),
    });
    const { seq } = (await answer.json()) as { seq: number };
    const waitMs = await ask(`/v1/converged?seq=${seq}&nodes=3`);
    if (i >= WARM_UP) both.push(performance.now() - startMs);
    if (i >= WARM_UP) waits.push(waitMs);
    await Bun.sleep(20);
  }
  const row = (what: string, values: readonly number[], reach: string): (string | number)[] => [
    ...[what, values.length, quantile(values, 0.5), quantile(values, 0.99), reach],
  ];
  table(
    ["three hosts", "samples", "p50 ms", "p99 ms", "reach"],
    [
      row("change sent, converged reported", both, "p50 15 ms from the append"),
      row("of which GET /v1/converged", waits, ""),
    ],
  );
}

/** Milliseconds until the whole answer, which must be 200, is here. */
function asking(url: string, token: string): (path: string) => Promise<number> {
  return async (path) => {
    const startMs = performance.now();
    const answer = await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${token}` } });
    const body = await answer.bytes();
    if (!answer.ok) throw new Error(`${path}: ${new TextDecoder().decode(body)}`);
    return performance.now() - startMs;
  };
}

async function urlOf(stderr: ReadableStream<Uint8Array>): Promise<string> {
  const reader = stderr.getReader();
  const { value } = await reader.read();
  // Its lines must not fill the pipe.
  void (async () => {
    while (!(await reader.read()).done);
  })();
  const [line = ""] = new TextDecoder().decode(value).split("\n");
  return (JSON.parse(line) as { url: string }).url;
}

/** Milliseconds on a processor, of user and system. */
async function cpuMs({ pid }: Server): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
}
