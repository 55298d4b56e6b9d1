// What names that left the fabric go on costing: 100 hosts, and so many names before them that
// joined, claimed and left. Pure code over events in memory, each number in a process of its own;
// docs/scale.md says why they are kept.
// Usage: bun bench/left.ts [NAMES…]   (default 0 10000 100000)

import { allocate } from "../src/events/allocate.ts";
import { encode } from "../src/events/codec.ts";
import type { Draft } from "../src/events/event.ts";
import { fold } from "../src/events/fold.ts";
import { parseNetworkConfig } from "../src/events/network-config.ts";
import { decodeSnapshot, encodeSnapshot } from "../src/events/snapshot.ts";
import { initialState } from "../src/events/state.ts";
import { stateDocument } from "../src/events/state-document.ts";
import { subjectOf } from "../src/events/subject.ts";
import { vtepMac } from "../src/events/vtep-mac.ts";
import { desired } from "../src/reconcilers/desired.ts";
import { machine, table } from "./support.ts";

const FABRIC = "left";
const PRESENT = 100;

if (process.argv[2] === "inside") {
  process.stdout.write(JSON.stringify(measure(Number(process.argv[3]))));
} else {
  const sizes = process.argv.slice(2).map(Number);
  const rows = (sizes.length > 0 ? sizes : [0, 10_000, 100_000]).map((names) => {
    const command = [process.execPath, "--smol", import.meta.path, "inside", `${names}`];
    const done = Bun.spawnSync(command);
    if (done.exitCode !== 0) throw new Error(done.stderr.toString());
    return JSON.parse(done.stdout.toString()) as number[];
  });
  machine();
  const sizesOf = ["state MiB", "snapshot MiB", "GET /v1/state MiB"];
  const cpuOf = ["write snapshot, ms", "read it, ms", "plan, ms", "choose a subnet, ms"];
  table(["names that left", ...sizesOf, ...cpuOf], rows);
}

function measure(names: number): number[] {
  const heap = heapMib();
  const state = initialState(FABRIC, "h1");
  let seq = 0;
  for (const draft of story(names)) {
    seq += 1;
    const record = { seq, timeMs: seq, subject: subjectOf(FABRIC, draft) };
    const { verdict } = fold(state, { ...record, payload: encode(draft, `id-${seq}`) });
    if (verdict.kind !== "accepted") throw new Error(`#${seq}: ${verdict.reason}`);
  }
  const stateMib = heapMib() - heap;
  const position = { created: "", seq, chain: "", tip: "" };
  const snapshot = encodeSnapshot({ position, state });
  if (!decodeSnapshot(FABRIC, snapshot).ok) throw new Error("the snapshot cannot be read");
  const document = JSON.stringify(stateDocument(state));
  return [
    ...[names, stateMib, snapshot.length / 2 ** 20, document.length / 2 ** 20],
    cpuMs(() => encodeSnapshot({ position, state })),
    cpuMs(() => decodeSnapshot(FABRIC, snapshot)),
    cpuMs(() => desired(state, "h1")),
    cpuMs(() => allocate(state, "newcomer")),
  ];
}

function* story(names: number): Generator<Draft> {
  const parsed = parseNetworkConfig({ Network: "10.0.0.0/8", SubnetLen: 28 });
  if (!parsed.ok) throw new Error(parsed.reason);
  yield { type: "FabricConfigured", data: { config: parsed.document } };
  for (let i = 0; i < names; i += 1) {
    yield* host(`build-${i}`, i);
    yield { type: "NodeLeft", data: { node: `build-${i}`, reason: "over" } };
  }
  for (let i = 0; i < PRESENT; i += 1) yield* host(`h${i + 1}`, names + i);
}

function* host(node: string, i: number): Generator<Draft> {
  const link = `172.${16 + Math.floor(i / 64_000)}.${Math.floor(i / 250) % 256}`;
  const publicIp = `${link}.${(i % 250) + 1}`;
  const underlay = { dev: "eth0", mtu: 1500, local: publicIp, localv6: null };
  const macs = { vtepMac: vtepMac(FABRIC, node, "ipv4"), vtepMacV6: null };
  yield {
    type: "NodeJoined",
    data: {
      ...{ node, instance: `4b3c0e6e-${i}`, publicIp, publicIpv6: null, version: "0.1.0" },
      ...{ ...macs, backend: "vxlan", ipMasq: true, capabilities: [] },
      underlay: { ...underlay, onlink: [`${link}.0/24`] },
    },
  };
  const at = (1 << 16) + i * 16;
  const subnets = [`10.${[at >> 16, (at >> 8) & 255, at & 255].join(".")}/28`];
  yield { type: "LeaseClaimed", data: { node, epoch: 1, subnets, ttlSeconds: 86_400 } };
}

/** The second of two: the first also compiles. */
function cpuMs(work: () => unknown): number {
  work();
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

function heapMib(): number {
  Bun.gc(true);
  return process.memoryUsage().heapUsed / 2 ** 20;
}
