// From an event's append to the route it causes being in the kernel, on each of three hosts. The
// events are foreign peers, added and removed one at a time; an independent reader
// (`ip -ts monitor route`) says when each host's kernel had the route. Reach: p50 2 ms, p99 8 ms.
//
// The part that appends runs inside the namespace of the server: `append.ts inside URL`.

import { encode } from "../src/events/codec.ts";
import type { Draft } from "../src/events/event.ts";
import type { EventLog } from "../src/events/log.ts";
import { connectLog } from "../src/events/log-jetstream.ts";
import { subjectOf } from "../src/events/subject.ts";
import { TestFabric, until } from "../test/support/fabric.ts";
import { machine, quantile, table, write } from "./support.ts";

const EVENTS = 300;
const GAP_MS = 60;

if (process.argv[2] === "inside") await append(process.argv[3] ?? "");
else await measure();

/** Appends the events and prints, for each, its subnet and the time just before the append. */
async function append(url: string): Promise<void> {
  const connection = await connectLog({ servers: url, fabric: "default" });
  for (let i = 0; i < EVENTS; i++) {
    const draft = peer(i);
    const id = `bench-${i}`;
    const payload = encode(draft, id);
    const subject = subjectOf("default", draft);
    const startMs = performance.timeOrigin + performance.now();
    await connection.log.append({ subject, payload, id });
    const ackMs = performance.timeOrigin + performance.now();
    write(`${draft.data.subnet} ${startMs} ${ackMs - startMs}`);
    await Bun.sleep(GAP_MS);
    await remove(connection.log, draft.data.name);
    await Bun.sleep(GAP_MS);
  }
  await connection.close();
}

/** So that the hosts keep the few peers of a fabric of three. */
async function remove(log: EventLog, name: string): Promise<void> {
  const draft: Draft = { type: "PeerRemoved", data: { name } };
  const id = `remove-${name}`;
  await log.append({ subject: subjectOf("default", draft), payload: encode(draft, id), id });
}

function peer(i: number): Extract<Draft, { type: "PeerAdded" }> {
  const octet = (n: number): string => n.toString(16).padStart(2, "0");
  const vtepMac = `02:be:00:00:${octet(i >> 8)}:${octet(i & 255)}`;
  const subnet = `10.77.${i & 255}.${(i >> 8) * 16}/28`;
  return {
    type: "PeerAdded",
    data: { name: `bench-${i}`, subnet, publicIp: `198.18.${1 + (i >> 7)}.${i & 127}`, vtepMac },
  };
}

async function measure(): Promise<void> {
  const fabric = await TestFabric.create({ hosts: 3 });
  try {
    await fabric.init({ Network: "10.5.0.0/16", Backend: { Type: "vxlan" } });
    const names = ["h1", "h2", "h3"];
    for (const name of names) fabric.start(name);
    await fabric.ready(names, 2);
    const monitors = names.map((name) =>
      fabric.spawn(fabric.host(name).netns, ["ip", "-ts", "monitor", "route"]),
    );
    const texts = monitors.map(() => "");
    const readers = monitors.map(async (monitor, i) => {
      const decoder = new TextDecoder();
      for await (const chunk of monitor.stdout) texts[i] += decoder.decode(chunk);
    });
    const program = [process.execPath, import.meta.path, "inside", fabric.dev.nats];
    // Beside the readers, not before them: a monitor whose pipe is full tells the time too late.
    const appender = fabric.spawn(fabric.dev.switch, program);
    const lines = (await new Response(appender.stdout).text()).trimEnd().split("\n");
    const appended = lines.map((line) => line.split(" "));
    await until("the last route is everywhere", 5000, () =>
      texts.every((text) => text.includes(appended.at(-1)?.[0] ?? "?")),
    );
    for (const monitor of monitors) monitor.kill();
    await Promise.all(readers);
    report(appended, texts);
  } finally {
    await fabric.close();
  }
}

function report(appended: readonly (readonly string[])[], texts: readonly string[]): void {
  const acks = appended.map(([, , ack]) => Number(ack));
  const each: number[] = [];
  const all: number[] = [];
  for (const [subnet = "", startMs] of appended) {
    const times = texts.map((text) => routeTimeMs(text, subnet) - Number(startMs));
    each.push(...times);
    all.push(Math.max(...times));
  }
  machine();
  table(
    ["measure", "samples", "p50 ms", "p99 ms", "reach"],
    [
      ["append acknowledged", acks.length, quantile(acks, 0.5), quantile(acks, 0.99), ""],
      [
        "route in one host's kernel",
        each.length,
        quantile(each, 0.5),
        quantile(each, 0.99),
        "2 / 8",
      ],
      ["route in every host's kernel", all.length, quantile(all, 0.5), quantile(all, 0.99), ""],
    ],
  );
}

/**
 * When the monitor saw the route: "[2026-01-31T12:00:00.123456] 10.77.1.0/28 via …". Never, when the
 * peer was removed again before that host got to it: counted as the worst there is.
 */
function routeTimeMs(text: string, subnet: string): number {
  const line = text.split("\n").find((candidate) => candidate.includes(`] ${subnet} `));
  const stamp = /^\[(.+?)\.(\d{6})\]/.exec(line ?? "");
  if (stamp === null) return Number.POSITIVE_INFINITY;
  return Date.parse(`${stamp[1]}Z`) + Number(stamp[2]) / 1000;
}
