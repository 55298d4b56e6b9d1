// heddle nodes, leases, peers: the folded log as tables, or as the agent has it with --socket.

import { foldTo } from "../events/past.ts";
import type { FabricState } from "../events/state.ts";
import {
  type LeaseView,
  leasesView,
  type NodeView,
  nodesView,
  type PeerView,
  peersView,
} from "../http/views.ts";
import { askAgent } from "./agent-client.ts";
import { withLog } from "./connection.ts";
import type { Deps } from "./deps.ts";
import { EXIT_OK } from "./failure.ts";
import type { LogFlags } from "./flags.ts";
import { socketPath } from "./paths.ts";
import { cell, tableLines } from "./table.ts";

interface ListFlags extends LogFlags {
  readonly socket?: string | true;
  readonly json?: boolean;
}

interface List<V> {
  readonly path: string;
  view(state: Readonly<FabricState>): readonly V[];
  readonly header: readonly string[];
  row(item: V): readonly string[];
}

const nodes: List<NodeView> = {
  path: "/v1/nodes",
  view: nodesView,
  header: [
    "NODE",
    "STATE",
    "SUBNETS",
    "PUBLIC IP",
    "BACKEND",
    "UNDERLAY",
    "MTU",
    "HEARD",
    "VERSION",
  ],
  row: (node) => [
    node.node,
    node.present ? "present" : "left",
    cell(node.subnets.join(",")),
    cell([node.publicIp, node.publicIpv6].filter((ip) => ip !== null).join(",")),
    node.backend,
    node.underlay.dev,
    cell(node.underlay.mtu),
    withoutMillis(node.heardAt),
    cell(node.version),
  ],
};

const leases: List<LeaseView> = {
  path: "/v1/leases",
  view: leasesView,
  header: ["SUBNETS", "STATE", "NODE", "EPOCH", "CLAIMED", "RENEWED", "EXPIRES", "NOTE"],
  row: (lease) => [
    lease.subnets.join(","),
    lease.state,
    cell(lease.node),
    cell(lease.epoch),
    cell(withoutMillis(lease.claimedAt)),
    cell(withoutMillis(lease.renewedAt)),
    cell(withoutMillis(lease.expiresAt)),
    lease.note ?? "",
  ],
};

const peers: List<PeerView> = {
  path: "/v1/peers",
  view: peersView,
  header: ["PEER", "SUBNET", "PUBLIC IP", "VTEP MAC"],
  row: (peer) => [peer.name, peer.subnet, peer.publicIp, cell(peer.vtepMac)],
};

export function listNodes(deps: Deps, flags: ListFlags): Promise<number> {
  return list(deps, flags, nodes);
}

export function listLeases(deps: Deps, flags: ListFlags): Promise<number> {
  return list(deps, flags, leases);
}

export function listPeers(deps: Deps, flags: ListFlags): Promise<number> {
  return list(deps, flags, peers);
}

async function list<V>(deps: Deps, flags: ListFlags, what: List<V>): Promise<number> {
  const socket = flags.socket === true ? (deps.env.HEDDLE_SOCKET ?? true) : flags.socket;
  const items = socket
    ? await askAgent<readonly V[]>(socketPath({ ...flags, socket }), "GET", what.path)
    : await fromLog(deps, flags, what);
  if (flags.json) deps.out.json(items);
  else for (const line of tableLines(what.header, items.map(what.row))) deps.out.line(line);
  return EXIT_OK;
}

function fromLog<V>(deps: Deps, flags: LogFlags, what: List<V>): Promise<readonly V[]> {
  return withLog(deps, flags, async ({ log }) =>
    what.view(await foldTo(log, flags.fabric, null, deps.wallMs())),
  );
}

function withoutMillis(iso: string): string;
function withoutMillis(iso: string | null): string | null;
function withoutMillis(iso: string | null): string | null {
  return iso === null ? null : iso.replace(/\.\d+Z$/, "Z");
}
