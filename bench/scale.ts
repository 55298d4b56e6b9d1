// What grows with the fabric, at 1 000, 10 000 and 100 000 hosts: the log, the fold, one host's
// state in memory, its snapshot, its plan and its kernel objects in both modes, and the traffic of
// renewals and of the status board. Pure code over records in memory, one size after the other in
// processes of their own; docs/scale.md says what breaks first.
// Usage: bun bench/scale.ts [HOSTS…]   (default 1000 10000 100000)

import { encode } from "../src/events/codec.ts";
import type { Draft } from "../src/events/event.ts";
import { fold } from "../src/events/fold.ts";
import type { Recorded } from "../src/events/log.ts";
import { parseNetworkConfig } from "../src/events/network-config.ts";
import { encodeSnapshot } from "../src/events/snapshot.ts";
import { initialState } from "../src/events/state.ts";
import { subjectOf } from "../src/events/subject.ts";
import { vtepMac } from "../src/events/vtep-mac.ts";
import { desired } from "../src/reconcilers/desired.ts";
import type { KernelState } from "../src/reconcilers/kernel-state.ts";
import { machine, table } from "./support.ts";

const FABRIC = "scale";
const SELF = "h1";
const START_MS = Date.UTC(2030, 0, 1);
const CHUNK = 1000;

if (process.argv[2] === "inside") {
  process.stdout.write(JSON.stringify(measure(Number(process.argv[3]))));
} else {
  const sizes = process.argv.slice(2).map(Number);
  const rows = (sizes.length > 0 ? sizes : [1000, 10_000, 100_000]).map((hosts) => {
    const done = Bun.spawnSync([
      process.execPath,
      "--smol",
      import.meta.path,
      "inside",
      `${hosts}`,
    ]);
    if (done.exitCode !== 0) throw new Error(done.stderr.toString());
    return JSON.parse(done.stdout.toString()) as (string | number)[];
  });
  machine();
  const log = ["log MiB", "fold, us per record", "fold all, s"];
  const host = ["state MiB", "snapshot MiB", "plan ms, proactive", "plan ms, on-miss"];
  table(["hosts", ...log, ...host, "objects, proactive", "objects, on-miss"], rows);
}

function measure(hosts: number): (string | number)[] {
  const heap = heapMib();
  const state = initialState(FABRIC, SELF);
  let bytes = 0;
  let cpuUs = 0;
  let seq = 0;
  for (const records of chunks(story(hosts))) {
    const before = process.cpuUsage();
    for (const record of records) {
      const { verdict } = fold(state, record);
      if (verdict.kind !== "accepted") throw new Error(`#${record.seq}: ${verdict.reason}`);
    }
    const { user, system } = process.cpuUsage(before);
    cpuUs += user + system;
    seq += records.length;
    for (const { payload, subject } of records) bytes += payload.length + subject.length;
  }
  const stateMib = heapMib() - heap;
  const position = { created: "", seq, chain: "", tip: "" };
  const snapshotMib = encodeSnapshot({ position, state }).length / 2 ** 20;
  const proactive = planned(() => desired(state, SELF));
  const { config } = state;
  if (config?.backend.type !== "vxlan") throw new Error("no configuration");
  state.config = { ...config, backend: { ...config.backend, mode: "on-miss" } };
  const onMiss = planned(() => desired(state, SELF));
  return [
    ...[hosts, bytes / 2 ** 20, cpuUs / seq, (cpuUs / 1e6).toFixed(2)],
    ...[stateMib, snapshotMib, proactive.ms, onMiss.ms, proactive.objects, onMiss.objects],
  ];
}

/** So many at a time that looking at the clock costs nothing. */
function* chunks(story: Iterable<Draft>): Generator<readonly Recorded[]> {
  let seq = 0;
  let records: Recorded[] = [];
  for (const draft of story) {
    seq += 1;
    const payload = encode(draft, `01890a5d-ac96-774b-bcce-b302099a8057-${seq}`);
    const subject = subjectOf(FABRIC, draft);
    records.push({ seq, timeMs: START_MS + seq, subject, payload });
    if (records.length < CHUNK) continue;
    yield records;
    records = [];
  }
  yield records;
}

/** Hosts on links of 250, each with a subnet of 16 addresses. */
function* story(hosts: number): Generator<Draft> {
  const document = { Network: "10.0.0.0/8", SubnetLen: 28 };
  const parsed = parseNetworkConfig(document);
  if (!parsed.ok) throw new Error(parsed.reason);
  yield { type: "FabricConfigured", data: { config: parsed.document } };
  for (let i = 0; i < hosts; i += 1) {
    const node = `h${i + 1}`;
    const link = `172.${16 + Math.floor(i / 64_000)}.${Math.floor(i / 250) % 256}`;
    const publicIp = `${link}.${(i % 250) + 1}`;
    const subnet = (1 << 16) + i * 16;
    yield {
      type: "NodeJoined",
      data: {
        ...{ node, instance: `4b3c0e6e-${i}`, publicIp, publicIpv6: null, version: "0.1.0" },
        ...{ vtepMac: vtepMac(FABRIC, node, "ipv4"), vtepMacV6: null, backend: "vxlan" },
        underlay: {
          ...{ dev: "eth0", mtu: 1500, local: publicIp, localv6: null },
          onlink: [`${link}.0/24`],
        },
        ...{ ipMasq: true, capabilities: [] },
      },
    };
    const octets = [subnet >> 16, (subnet >> 8) & 255, subnet & 255].join(".");
    const data = { node, epoch: 1, subnets: [`10.${octets}/28`], ttlSeconds: 86_400 };
    yield { type: "LeaseClaimed", data };
  }
}

/** The second of two makings: the first also compiles. */
function planned(make: () => { readonly kernel: KernelState }): { ms: number; objects: number } {
  make();
  const before = process.cpuUsage();
  const { kernel } = make();
  const { user, system } = process.cpuUsage(before);
  const { routes, neighs, fdb } = kernel;
  return { ms: (user + system) / 1000, objects: routes.size + neighs.size + fdb.size };
}

function heapMib(): number {
  Bun.gc(true);
  return process.memoryUsage().heapUsed / 2 ** 20;
}
