// How fast a whole fabric gets into a host's kernel: N peers of one route, one neighbour and one
// FDB entry each, by our adapter and, in the same interleaved run, by `ip -batch` and
// `bridge -batch` with flannel's objects; then a pass over them that finds nothing to do.
// Needs root. `bun bench/program.ts [peers] [rounds]`.

import { diff } from "../src/reconcilers/diff.ts";
import { NetlinkKernel } from "../src/reconcilers/kernel-netlink.ts";
import {
  emptyKernelState,
  type Fdb,
  type KernelState,
  keyOf,
  type Link,
  type Neigh,
  type Route,
} from "../src/reconcilers/kernel-state.ts";
import type { Op } from "../src/reconcilers/op.ts";
import { del, fdb, link, neigh, route, set } from "../test/support/kernel-objects.ts";
import { joinByVeth, makeNetns, type Netns, run } from "../test/support/netns.ts";

const PEERS = Number(process.argv[2] ?? 5000);
const ROUNDS = Number(process.argv[3] ?? 5);

interface Peer {
  readonly route: Route;
  readonly neigh: Neigh;
  readonly fdb: Fdb;
}

const LINK: Link = { ...link, alias: "heddle bench" };
const DEV = LINK.name;

function peer(i: number, v6: boolean): Peer {
  const hex = (n: number) => n.toString(16).padStart(2, "0");
  const mac = `02:00:00:01:${hex(i >> 8)}:${hex(i & 255)}`;
  const net = v6 ? `fd00:0:0:${(i + 1).toString(16)}::` : `10.${i >> 8}.${i & 255}.0`;
  return {
    route: route(DEV, v6 ? `${net}/64` : `${net}/24`, net),
    neigh: neigh(DEV, net, mac),
    fdb: fdb(DEV, `198.19.${i >> 8}.${i & 255}`, mac),
  };
}

function setOps(peers: readonly Peer[]): Op[] {
  return [
    ...peers.map((p) => set("neigh", p.neigh)),
    ...peers.map((p) => set("fdb", p.fdb)),
    ...peers.map((p) => set("route", p.route)),
  ];
}

function host(): Netns {
  const netns = makeNetns();
  joinByVeth(
    { netns, dev: "eth0", addresses: ["198.18.0.1/15"] },
    { netns, dev: "peer0", addresses: [] },
  );
  return netns;
}

interface Timing {
  program: number;
  noop: number;
}

async function ours(peers: readonly Peer[], check: (netns: Netns) => void): Promise<Timing> {
  using netns = host();
  const kernel = new NetlinkKernel({ netns: netns.path });
  await kernel.apply([set("link", LINK)]);
  const ops = setOps(peers);
  const start = performance.now();
  const outcomes = await kernel.apply(ops);
  const program = performance.now() - start;
  const failed = outcomes.find((outcome) => !outcome.ok);
  if (failed !== undefined) throw new Error(JSON.stringify(failed));
  check(netns);
  const noop = await noopPass(kernel, wanted(peers));
  await kernel.apply([del("link", LINK)]);
  kernel.close();
  return { program, noop };
}

/** What the loop does when it wakes for nothing: read everything and compare it with the wanted. */
async function noopPass(kernel: NetlinkKernel, want: KernelState): Promise<number> {
  const scope = { links: [DEV], routeDevs: [DEV], sysctls: [], rules: [] };
  const start = performance.now();
  const ops = diff(want, await kernel.observe(scope), { fabric: "bench", prune: true });
  const elapsed = performance.now() - start;
  if (ops.length > 0) throw new Error(`not what was wanted: ${JSON.stringify(ops[0])}`);
  return elapsed;
}

function wanted(peers: readonly Peer[]): KernelState {
  const state = emptyKernelState();
  state.links.set(DEV, LINK);
  for (const { route, neigh, fdb } of peers) {
    state.routes.set(keyOf.route(route), route);
    state.neighs.set(keyOf.neigh(neigh), neigh);
    state.fdb.set(keyOf.fdb(fdb), fdb);
  }
  return state;
}

function flannelLike(peers: readonly Peer[], check: (netns: Netns) => void): number {
  using netns = host();
  netns.ip(`link add ${DEV} type vxlan id 1 dev eth0 local 198.18.0.1 dstport 8472 nolearning`);
  netns.ip(`link set ${DEV} up`);
  const neighs = peers.map(
    ({ neigh }) => `neigh replace ${neigh.ip} lladdr ${neigh.mac} dev ${DEV} nud permanent`,
  );
  const routes = peers.map(
    ({ route }) => `route replace ${route.dst} via ${route.via} dev ${DEV} onlink`,
  );
  const fdb = peers.map(
    ({ fdb: f }) => `fdb replace ${f.mac} dev ${DEV} dst ${f.dst} self permanent`,
  );
  const start = performance.now();
  run(["ip", "-n", netns.name, "-batch", "-"], `${neighs.join("\n")}\n`);
  run(["bridge", "-n", netns.name, "-batch", "-"], `${fdb.join("\n")}\n`);
  run(["ip", "-n", netns.name, "-batch", "-"], `${routes.join("\n")}\n`);
  const elapsed = performance.now() - start;
  check(netns);
  return elapsed;
}

/** An independent reader counts, so that neither side is fast by not doing it. */
function counter(v6: boolean): (netns: Netns) => void {
  return (netns) => {
    const family = v6 ? "-6 " : "";
    const all = netns.ipJson(`${family}route show dev ${DEV}`);
    const routes = all.filter((row) => "gateway" in row || "via" in row).length;
    const neighs = netns.ipJson(`${family}neigh show dev ${DEV} nud permanent`).length;
    const fdb = netns.bridgeJson(`fdb show dev ${DEV}`).length;
    if (routes !== PEERS || neighs !== PEERS || fdb !== PEERS) {
      throw new Error(`found ${routes} routes, ${neighs} neighbours, ${fdb} FDB entries`);
    }
  };
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
const ms = (value: number) => `${value.toFixed(1).padStart(8)} ms`;

for (const v6 of [false, true]) {
  const peers = Array.from({ length: PEERS }, (_, i) => peer(i, v6));
  const check = counter(v6);
  const heddle: Timing[] = [];
  const iproute2: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    heddle.push(await ours(peers, check));
    iproute2.push(flannelLike(peers, check));
  }
  const mine = median(heddle.map(({ program }) => program));
  const theirs = median(iproute2);
  const noop = median(heddle.map((timing) => timing.noop));
  process.stdout.write(
    `${v6 ? "IPv6" : "IPv4"}, ${PEERS} peers, ${PEERS * 3} objects, median of ${ROUNDS}\n` +
      `  heddle               ${ms(mine)}\n` +
      `  ip -batch, bridge    ${ms(theirs)}\n` +
      `  ratio                ${(theirs / mine).toFixed(2).padStart(8)} x\n` +
      `  pass without work    ${ms(noop)}\n`,
  );
}
