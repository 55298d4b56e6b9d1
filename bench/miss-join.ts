// One join as 500 hosts see it: the fold, the plan and the loop of every one of them, in this one
// process over the log of a real nats-server. The kernels are maps, so what is counted is the work
// of the program and the objects that it asks a kernel for; what the kernel needs for each is in
// docs/benchmarks.md. Reach: on-miss at most one object per host and join.

import { HeldPeers } from "../src/agent/held-peers.ts";
import { Planner } from "../src/agent/planner.ts";
import { PreparedAnswers } from "../src/agent/prepared-answers.ts";
import { createTail, type Tail } from "../src/agent/tail.ts";
import { encode } from "../src/events/codec.ts";
import type { Draft } from "../src/events/event.ts";
import { onDemand } from "../src/events/fold-miss.ts";
import type { EventLog } from "../src/events/log.ts";
import { parseNetworkConfig } from "../src/events/network-config.ts";
import { subjectOf } from "../src/events/subject.ts";
import { createLoop } from "../src/reconcilers/loop.ts";
import { until } from "../test/support/fabric.ts";
import { defaultMember } from "../test/support/history.ts";
import { MapKernel } from "../test/support/map-kernel.ts";
import { TestNats } from "../test/support/nats.ts";
import { realClock } from "../test/support/real-clock.ts";
import { machine, table } from "./support.ts";

const HOSTS = Number(process.argv[2] ?? 500);
const JOINS = 20;
const FABRIC = "join";

interface SimHost {
  readonly tail: Tail;
  readonly kernel: MapKernel;
  /** The sequence that its kernel is right for. */
  appliedSeq: number;
}

/** A kernel that costs nothing to look at. */
class FreeKernel extends MapKernel {
  ops = 0;
  override async observe() {
    return this.state;
  }
  override async apply(ops: Parameters<MapKernel["apply"]>[0]) {
    this.ops += ops.length;
    const outcomes = await super.apply(ops);
    this.batches.length = 0;
    return outcomes;
  }
}

const rows: (string | number)[][] = [];
for (const mode of ["proactive", "on-miss"]) rows.push(await measure(mode));
machine();
table(["mode", "hosts", "joins", "objects per host and join", "CPU ms per host and join"], rows);

async function measure(mode: string): Promise<(string | number)[]> {
  const nats = await TestNats.start();
  const stop = new AbortController();
  try {
    const { log, createStream } = await nats.connect(FABRIC);
    await createStream(1);
    const Backend = { Type: "vxlan", Mode: mode };
    const parsed = parseNetworkConfig({ Network: "10.0.0.0/8", SubnetLen: 24, Backend });
    if (!parsed.ok) throw new Error(parsed.reason);
    let seq = await append(log, { type: "FabricConfigured", data: { config: parsed.document } });
    for (let i = 1; i <= HOSTS; i++) seq = await join(log, i);
    const shared = fanOut(log);
    const hosts = Array.from({ length: HOSTS }, (_, i) => host(shared, `h${i + 1}`, stop.signal));
    const all = (wanted: number) => () => hosts.every(({ appliedSeq }) => appliedSeq >= wanted);
    await until("all have all", 240_000, all(seq));
    const objects = () => hosts.reduce((sum, { kernel }) => sum + (kernel as FreeKernel).ops, 0);
    const [before, cpu] = [objects(), process.cpuUsage()];
    for (let i = 1; i <= JOINS; i++) {
      const joined = await join(log, HOSTS + i);
      await until("all have it", 60_000, all(joined));
    }
    const { user, system } = process.cpuUsage(cpu);
    const times = HOSTS * JOINS;
    return [
      ...[mode, HOSTS, JOINS, ((objects() - before) / times).toFixed(2)],
      ((user + system) / 1000 / times).toFixed(3),
    ];
  } finally {
    stop.abort();
    await nats.close();
  }
}

function host(log: EventLog, node: string, signal: AbortSignal): SimHost {
  const kernel = new FreeKernel();
  const tail = createTail({
    ...{ log, clock: realClock, fabric: FABRIC, node, snapshot: null },
    onFolded: () => undefined,
    onChange: () => loop.wake(),
  });
  const prepared = new PreparedAnswers();
  let preparedSeq = -1;
  const serve = (): void => {
    const state = tail.state();
    if (preparedSeq === state.changedSeq || onDemand(state.config) === null) return;
    preparedSeq = state.changedSeq;
    prepared.changes(state, node);
  };
  const held = { held: new HeldPeers(), isSettled: true, follow: serve, serve };
  const planner = new Planner({
    ...{ tail, clock: realClock, node, instance: `boot-of-${node}`, snapshot: null },
    stopping: () => false,
    onDemand: () => held,
  });
  const self: SimHost = { tail, kernel, appliedSeq: 0 };
  const loop = createLoop({
    ...{ kernel, clock: realClock },
    wanted: () => planner.wanted(),
    onRound: (round) => {
      if (round.clean) self.appliedSeq = tail.state().changedSeq;
    },
  });
  void tail.run(signal);
  signal.addEventListener("abort", () => void loop.stop());
  return self;
}

async function join(log: EventLog, number: number): Promise<number> {
  const node = `h${number}`;
  const subnets = [`10.${5 + (number >> 8)}.${number & 255}.0/24`];
  await append(log, { type: "NodeJoined", data: defaultMember(FABRIC, node) });
  const data = { node, epoch: 1, subnets, ttlSeconds: 864_000 };
  return await append(log, { type: "LeaseClaimed", data });
}

async function append(log: EventLog, draft: Draft): Promise<number> {
  const id = crypto.randomUUID();
  const payload = encode(draft, id);
  const stored = await log.append({ subject: subjectOf(FABRIC, draft), payload, id });
  if (!stored.ok) throw new Error("another writer was first");
  return stored.seq;
}

/** One reader of the server for all hosts: its work is not theirs. */
function fanOut(log: EventLog): EventLog {
  const kept: Awaited<ReturnType<EventLog["get"]>>[] = [];
  const wakers = new Set<() => void>();
  void (async () => {
    for await (const batch of log.read(1, new AbortController().signal)) {
      kept.push(...batch);
      for (const wake of wakers) wake();
    }
  })().catch(() => undefined);
  return {
    append: (message) => log.append(message),
    info: () => log.info(),
    get: (seq) => log.get(seq),
    async *read(from, signal) {
      for (let at = from - 1; !signal.aborted; ) {
        const batch = kept.slice(at).filter((record) => record !== null);
        at += batch.length;
        if (batch.length > 0) yield batch;
        else await new Promise<void>((resolve) => wakers.add(resolve)).then(() => wakers.clear());
      }
    },
  };
}
