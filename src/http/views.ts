// What surfaces show of the folded log, as plain JSON documents with stable names: the socket of
// the agent serves them and the command line prints them, so both say the same.

import type { Cidr, Ip, Mac } from "../events/address.ts";
import type { FabricState, Node, Token } from "../events/state.ts";
import { type StateDocument, stateDocument } from "../events/state-document.ts";
import type { Plan } from "../reconcilers/plan.ts";

export interface NodeView {
  readonly node: string;
  readonly present: boolean;
  readonly subnets: readonly Cidr[];
  readonly publicIp: Ip | null;
  readonly publicIpv6: Ip | null;
  readonly backend: string;
  readonly vtepMac: Mac | null;
  readonly vtepMacV6: Mac | null;
  readonly underlay: Node["underlay"];
  readonly ipMasq: boolean;
  readonly capabilities: readonly string[];
  readonly version: string;
  readonly joinedSeq: number;
  readonly updatedSeq: number;
  readonly heardAt: string;
}

export function nodesView(state: Readonly<FabricState>): readonly NodeView[] {
  return byName([...state.nodes.values()], (node) => node.node).map((node) => ({
    node: node.node,
    present: node.present,
    subnets: state.leases.get(node.node)?.subnets ?? [],
    publicIp: node.publicIp,
    publicIpv6: node.publicIpv6,
    backend: node.backend,
    vtepMac: node.vtepMac,
    vtepMacV6: node.vtepMacV6,
    underlay: node.underlay,
    ipMasq: node.ipMasq,
    capabilities: node.capabilities,
    version: node.version,
    joinedSeq: node.joinedSeq,
    updatedSeq: node.updatedSeq,
    heardAt: iso(node.heardMs),
  }));
}

export interface LeaseView {
  readonly state: "leased" | "reserved";
  readonly subnets: readonly Cidr[];
  /** Who holds it, or for whom it is reserved; null keeps it out of use. */
  readonly node: string | null;
  readonly epoch: number | null;
  readonly claimedSeq: number | null;
  readonly claimedAt: string | null;
  readonly renewedAt: string | null;
  readonly ttlSeconds: number | null;
  readonly expiresAt: string | null;
  readonly note: string | null;
}

/** Leases, then reservations that nobody uses. */
export function leasesView(state: Readonly<FabricState>): readonly LeaseView[] {
  const leases = byName([...state.leases.values()], (lease) => lease.node).map(
    (lease): LeaseView => ({
      state: "leased",
      subnets: lease.subnets,
      node: lease.node,
      epoch: lease.epoch,
      claimedSeq: lease.claimedSeq,
      claimedAt: iso(lease.claimedMs),
      renewedAt: iso(lease.renewedMs),
      ttlSeconds: lease.ttlSeconds,
      expiresAt: iso(lease.expiresMs),
      note: null,
    }),
  );
  const unused = [...state.reservations.values()].filter(({ subnet }) => !state.owners.has(subnet));
  const reserved = byName(unused, (entry) => entry.subnet).map(
    ({ subnet, node, note }): LeaseView => ({
      state: "reserved",
      subnets: [subnet],
      node,
      epoch: null,
      claimedSeq: null,
      claimedAt: null,
      renewedAt: null,
      ttlSeconds: null,
      expiresAt: null,
      note: note === "" ? null : note,
    }),
  );
  return [...leases, ...reserved];
}

export interface PeerView {
  readonly name: string;
  readonly subnet: Cidr;
  readonly publicIp: Ip;
  readonly vtepMac: Mac | null;
}

export function peersView(state: Readonly<FabricState>): readonly PeerView[] {
  return byName([...state.peers.values()], (peer) => peer.name).map(
    ({ name, subnet, publicIp, vtepMac }) => ({ name, subnet, publicIp, vtepMac }),
  );
}

export type StateView = Omit<StateDocument, "tokens"> & {
  readonly time: string | null;
  readonly tokens: readonly Omit<Token, "hash">[];
};

/** The whole state; `time` is that of the last record, as ISO 8601. */
export function stateView(state: Readonly<FabricState>): StateView {
  const { tokens, ...document } = stateDocument(state);
  return {
    ...document,
    tokens: tokens.map(({ name, scopes, expiresAt }) => ({ name, scopes, expiresAt })),
    time: state.seq === 0 ? null : iso(state.timeMs),
  };
}

export interface PlanView {
  readonly node: string;
  readonly seq: number;
  readonly device: Plan["device"];
  readonly problems: readonly string[];
  readonly peers: Plan["peers"];
  readonly kernel: { readonly [noun: string]: readonly object[] };
  readonly subnetEnv: string | null;
}

export function planView(plan: Plan): PlanView {
  const { kernel } = plan;
  return {
    node: plan.node,
    seq: plan.seq,
    device: plan.device,
    problems: plan.problems,
    peers: plan.peers,
    kernel: {
      links: [...kernel.links.values()],
      addrs: [...kernel.addrs.values()],
      routes: [...kernel.routes.values()],
      neighs: [...kernel.neighs.values()],
      fdb: [...kernel.fdb.values()],
      sysctls: [...kernel.sysctls.values()],
      rules: [...kernel.rules.values()],
      peers: [...kernel.peers.values()],
    },
    subnetEnv: plan.subnetEnv,
  };
}

function byName<T>(items: readonly T[], name: (item: T) => string): readonly T[] {
  const order = new Intl.Collator("en", { numeric: true });
  return [...items].sort((a, b) => order.compare(name(a), name(b)));
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
