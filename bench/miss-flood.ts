// A container that floods a host of entries on demand with addresses that nobody owns: what the
// thread that answers takes of a core, at its real-time priority, and what another container's
// packets, the event loop and a join notice. Addresses of the network have an unreachable route;
// the rest needs a route into the tunnel device that is not ours.
// Usage: bun bench/miss-flood.ts [SECONDS]   (default 5)

import { readdirSync, readFileSync } from "node:fs";
import { Everyone } from "../test/support/everyone.ts";
import { until } from "../test/support/fabric.ts";
import { nativeTool } from "../test/support/tunnel-build.ts";
import { machine, quantile, table, write } from "./support.ts";

const SECONDS = Number(process.argv[2] ?? 5);
const THREAD = "heddle-answer";
/** USER_HZ. */
const TICKS_PER_S = 100;
const STRANGE = "10.200.0.0";
const Backend = { Type: "vxlan", Mode: "on-miss" };

const scan = nativeTool("scan");
const host = new Everyone({ config: { Network: "10.0.0.0/8", SubnetLen: 24, Backend } });
let joined = 21;
try {
  await host.populate(20);
  const agent = await host.start();
  host.attach();
  await until("answers are prepared", 4000, () => agent.status().misses?.path !== null);
  const path = agent.status().misses?.path;
  const rows = [
    await measured("no flood", null),
    await measured("a program that never rests", ["sh", "-c", "while :; do :; done"]),
    await measured("65 536 addresses of the network", [scan, STRANGE, "65536", `${SECONDS}`]),
  ];
  host.host.ip(`route add ${STRANGE}/16 dev heddle.1 scope link`);
  for (const count of [1, 512, 65_536]) {
    const name = `${count} by a route into the device`;
    rows.push(await measured(name, [scan, STRANGE, `${count}`, `${SECONDS}`]));
  }
  machine();
  write(`the thread ${path?.by === "thread" && path.realtime ? "has" : "lacks"} its priority`);
  table(
    [
      ...["the other container sends to", "datagrams / s", "thread, % of a core"],
      ...[
        "event loop, %",
        "ping p50 ms",
        "ping p99 ms",
        "lost",
        "loop late, p99 ms",
        "join, ms",
        "gaps",
      ],
    ],
    rows,
  );
} finally {
  await host.close();
}

async function measured(
  name: string,
  flood: readonly string[] | null,
): Promise<(string | number)[]> {
  const sender = flood === null ? null : host.container.spawn([...flood]);
  const late = lateness();
  const { gaps } = host;
  const before = usage();
  const pings = host.ping("-i0.01", `-w${SECONDS}`, host.address(2));
  const joins: number[] = [];
  for (let i = 0; i < 3; i++) joins.push(await join());
  const lines = await pings;
  const after = usage();
  const [main, thread] = [after.main - before.main, after.thread - before.thread];
  const seconds = after.s - before.s;
  const lates = late();
  if (name.startsWith("a program")) sender?.kill("SIGKILL");
  const said = sender === null ? "" : await new Response(sender.stdout).text();
  const tried = Number(/"tried":(\d+)/.exec(said)?.[1] ?? 0);
  const times = Array.from(lines.matchAll(/time=([\d.]+)/g), ([, ms]) => Number(ms));
  const [sent = 0, came = 0] =
    /^(\d+) packets transmitted, (\d+) received/m.exec(lines)?.slice(1).map(Number) ?? [];
  return [
    ...[name, Math.round(tried / SECONDS), (thread / seconds) * 100, (main / seconds) * 100],
    ...[quantile(times, 0.5).toFixed(3), quantile(times, 0.99).toFixed(3), sent - came],
    ...[quantile(lates, 0.99), quantile(joins, 0.5), host.gaps - gaps],
  ];
}

/** Until a new host's route is in the kernel. */
async function join(): Promise<number> {
  joined += 1;
  const [subnet = ""] = host.subnets(joined);
  const startMs = performance.now();
  await host.join(joined, joined);
  await until("a route", 30_000, () => host.host.ip(`route show ${subnet}`) !== "");
  return performance.now() - startMs;
}

/** How late a timer of 10 ms is. */
function lateness(): () => number[] {
  const late: number[] = [];
  let dueMs = performance.now() + 10;
  const timer = setInterval(() => {
    late.push(performance.now() - dueMs);
    dueMs = performance.now() + 10;
  }, 10);
  return () => {
    clearInterval(timer);
    return late;
  };
}

/** CPU seconds of the answering thread and of the main one. */
function usage(): { thread: number; main: number; s: number } {
  const of = (tid: string): number => {
    const stat = readFileSync(`/proc/self/task/${tid}/stat`, "utf8");
    const [utime = 0, stime = 0] = stat
      .slice(stat.indexOf(")"))
      .split(" ")
      .slice(12, 14)
      .map(Number);
    return (utime + stime) / TICKS_PER_S;
  };
  const tids = readdirSync("/proc/self/task");
  const comm = (tid: string) => readFileSync(`/proc/self/task/${tid}/comm`, "utf8").trim();
  const thread = tids.find((tid) => comm(tid) === THREAD);
  if (thread === undefined) throw new Error("no thread answers");
  return { thread: of(thread), main: of(`${process.pid}`), s: performance.now() / 1000 };
}
