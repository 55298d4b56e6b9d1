// What the log says the network is, after folding it up to `seq`. The state is an accumulator: the
// fold changes it in place (a million events would otherwise be a million copies), nobody else
// changes it, and readers get it as Readonly.

import type { Cidr, Ip, Mac } from "./address.ts";
import { type Endpoints, noEndpoints } from "./endpoints.ts";
import type { EventType, Member } from "./event.ts";
import type { FabricConfig } from "./network-config.ts";
import type { Document } from "./network-config-keys.ts";
import { noneTaken, type TakenSubnets } from "./taken.ts";
import type { Webhook } from "./webhook.ts";

export interface Node extends Member {
  /** False after it left, or after its lease expired: then it has no say and no routes. */
  present: boolean;
  joinedSeq: number;
  updatedSeq: number;
  /** Log time of the last event by which the node spoke for itself. */
  heardMs: number;
  /** Of its last lease; a new claim must name the next one, which fences a second claimant. */
  epoch: number;
  /** Subnets of its last lease, preferred when it comes back. */
  previous: readonly Cidr[];
  /** Subnets an operator took from it, avoided when it claims again. */
  revoked: readonly Cidr[];
}

export interface Lease {
  readonly node: string;
  readonly epoch: number;
  subnets: readonly Cidr[];
  readonly claimedSeq: number;
  readonly claimedMs: number;
  renewedMs: number;
  ttlSeconds: number;
  /** Log time from which LeaseExpired is accepted. */
  expiresMs: number;
}

export interface Reservation {
  readonly subnet: Cidr;
  /** Who may claim it; null keeps it out of use. */
  readonly node: string | null;
  readonly note: string;
}

/** A VTEP that runs no agent: hardware, a load balancer, another stack. */
export interface ForeignPeer {
  readonly name: string;
  readonly subnet: Cidr;
  readonly publicIp: Ip;
  readonly vtepMac: Mac | null;
}

/** Each holds those before it. */
export type TokenScope = "read" | "write" | "admin";

export interface Token {
  readonly name: string;
  readonly hash: string;
  readonly scopes: readonly TokenScope[];
  readonly expiresAt: string | null;
}

export interface Quarantined {
  readonly seq: number;
  readonly timeMs: number;
  readonly subject: string;
  readonly type: EventType | null;
  readonly reason: string;
}

/**
 * Which peers' entries one host holds by its own word, least recently asked for first. Every reader
 * follows one host at most: N hosts with N peers each would be N² in every host's memory.
 */
export interface Held {
  readonly node: string | null;
  /** Never more than there are subnets of others. */
  readonly subnets: Set<Cidr>;
}

export interface FabricState {
  readonly fabric: string;
  /** Last record folded; 0 before the first. */
  seq: number;
  /** Last record that changed what any host's kernel should hold; renewals and reports do not. */
  changedSeq: number;
  /** Latest stream timestamp seen: the only clock the fold knows. */
  timeMs: number;
  config: FabricConfig | null;
  /** The completed document that `config` was read from. */
  configDocument: Document | null;
  configSeq: number;
  readonly nodes: Map<string, Node>;
  /** Live leases by node; a node has at most one. */
  readonly leases: Map<string, Lease>;
  /** Subnet to node, for every subnet of every live lease. */
  readonly owners: Map<Cidr, string>;
  /** Every subnet of every live lease and of every foreign peer. */
  readonly taken: TakenSubnets;
  /** Underlay address or VTEP MAC to the node or peer that answers there. */
  readonly endpoints: Endpoints;
  readonly reservations: Map<Cidr, Reservation>;
  readonly peers: Map<string, ForeignPeer>;
  readonly tokens: Map<string, Token>;
  /** No part of what hosts agree on: it depends on whom the reader follows. */
  readonly held: Held;
  readonly webhooks: Map<string, Webhook>;
  quarantine: { count: number; recent: Quarantined[] };
}

/** `follow` names the node whose held entries are wanted. */
export function initialState(fabric: string, follow: string | null = null): FabricState {
  return {
    fabric,
    seq: 0,
    changedSeq: 0,
    timeMs: 0,
    config: null,
    configDocument: null,
    configSeq: 0,
    nodes: new Map(),
    leases: new Map(),
    owners: new Map(),
    taken: noneTaken(),
    endpoints: noEndpoints(),
    reservations: new Map(),
    peers: new Map(),
    tokens: new Map(),
    held: { node: follow, subnets: new Set() },
    webhooks: new Map(),
    quarantine: { count: 0, recent: [] },
  };
}
