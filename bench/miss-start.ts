// A host that knows nothing starts in a fabric of 10 000 peers: from the start of the process,
// without a snapshot and without a device, until it says that it is ready, and what it then takes
// of memory: 5 s later, and in the last round 30 s later, when it has given its start's memory
// back. Proactive, then on demand. Reach: 300 ms on-miss, 1 s proactive; 80 and 96 MiB.

import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { agentCommand } from "../src/cli/dev-fabric.ts";
import { encode } from "../src/events/codec.ts";
import type { Draft } from "../src/events/event.ts";
import { subjectOf } from "../src/events/subject.ts";
import { PROGRAM, TestFabric } from "../test/support/fabric.ts";
import { defaultMember } from "../test/support/history.ts";
import { machine, quantile, table } from "./support.ts";

const PEERS = Number(process.argv[2] ?? 10_000);
const ROUNDS = Number(process.argv[3] ?? 5);
const REACH = { proactive: "1000 ms, 96 MiB", "on-miss": "300 ms, 80 MiB" } as const;
/** After ready; an agent gives memory back within ten seconds. */
const LOOK_MS = { first: 5000, settled: 30_000 } as const;
const built = join(import.meta.dir, "..", "dist", "heddle");
const program = existsSync(built) ? [built] : PROGRAM;

const rows: (string | number)[][] = [];
for (const mode of ["proactive", "on-miss"] as const) {
  const fabric = await TestFabric.create({ hosts: 1 });
  try {
    const Backend = { Type: "vxlan", Mode: mode };
    await fabric.init({ Network: "10.0.0.0/8", SubnetLen: 24, Backend });
    fabric.publish(Array.from({ length: PEERS }, (_, i) => peer(i + 2)).flat());
    const runs: Run[] = [];
    for (let round = 0; round < ROUNDS; round++)
      runs.push(await coldStart(fabric, round === ROUNDS - 1));
    const of = (pick: (run: Run) => number) => runs.map(pick);
    rows.push([
      mode,
      program === PROGRAM ? "bin/heddle" : "dist/heddle",
      ...[
        quantile(
          of(({ ms }) => ms),
          0.5,
        ),
        Math.max(...of(({ ms }) => ms)),
      ],
      quantile(
        of(({ cpuMs }) => cpuMs),
        0.5,
      ),
      quantile(
        of(({ rssMib }) => rssMib),
        0.5,
      ),
      runs.at(-1)?.settledMib ?? Number.NaN,
      REACH[mode],
    ]);
  } finally {
    await fabric.close();
  }
}
machine();
const took = ["ready p50 ms", "worst", "CPU ms"];
table(["mode", "program", ...took, "MiB after 5 s", "after 30 s", "reach"], rows);

function peer(number: number): { subject: string; base64: string }[] {
  const node = `p${number}`;
  const subnets = [`10.${5 + (number >> 8)}.${number & 255}.0/24`];
  const drafts: Draft[] = [
    { type: "NodeJoined", data: defaultMember("default", node) },
    { type: "LeaseClaimed", data: { node, epoch: 1, subnets, ttlSeconds: 864_000 } },
  ];
  return drafts.map((draft) => ({
    subject: subjectOf("default", draft),
    base64: Buffer.from(encode(draft, `${draft.type}-${node}`)).toString("base64"),
  }));
}

interface Run {
  readonly ms: number;
  readonly cpuMs: number;
  readonly rssMib: number;
  /** Null when it was not waited for. */
  readonly settledMib: number | null;
}

async function coldStart(fabric: TestFabric, settle: boolean): Promise<Run> {
  const host = fabric.host("h1");
  fabric.exec(host.netns, ["ip", "link", "del", "heddle.1"]);
  rmSync(join(host.dir, "state"), { recursive: true, force: true });
  const command = [...agentCommand(fabric.dev, host, program)];
  const startMs = performance.now();
  const agent = Bun.spawn(command, { stdio: ["ignore", "ignore", "pipe"] });
  try {
    await untilReady(agent.stderr);
    const ms = performance.now() - startMs;
    const cpuMs = cpuOf(agent.pid);
    await Bun.sleep(LOOK_MS.first);
    const rssMib = rssOf(agent.pid);
    if (settle) await Bun.sleep(LOOK_MS.settled - LOOK_MS.first);
    return { ms, cpuMs, rssMib, settledMib: settle ? rssOf(agent.pid) : null };
  } finally {
    agent.kill("SIGKILL");
    await agent.exited;
  }
}

/**
 * By the agent's log: to ask it again and again would cost its start what is measured. Its log is
 * read to the end, whoever waits.
 */
function untilReady(log: ReadableStream<Uint8Array>): Promise<void> {
  const ready = Promise.withResolvers<void>();
  const read = async (): Promise<void> => {
    const text = new TextDecoder();
    let said = "";
    for await (const chunk of log) {
      said += text.decode(chunk, { stream: true });
      if (/^\S+ INFO +ready /m.test(said)) ready.resolve();
    }
    throw new Error(`the agent ended before it was ready: ${said}`);
  };
  read().catch(ready.reject);
  return ready.promise;
}

/** utime and stime of /proc/PID/stat, in hundredths of a second. */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function rssOf(pid: number): number {
  const kib = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kib) / 1024;
}
