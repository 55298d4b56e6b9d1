// A folded state as plain JSON and back: what snapshots hold, what surfaces show, and what the web
// page folds and plans from.

import type { Cidr } from "./address.ts";
import { eachEndpoint, settle } from "./endpoints.ts";
import { parseNetworkConfig } from "./network-config.ts";
import type { Json } from "./network-config-keys.ts";
import { nodeOf, shareLists } from "./node.ts";
import { type FabricState, initialState } from "./state.ts";
import { take } from "./taken.ts";

/** Maps become arrays in key order, so equal states give equal text. */
export function stateDocument(state: Readonly<FabricState>): StateDocument {
  return documentOf(state, (map) => [...map].sort(byKey));
}

/**
 * Maps become arrays in the order in which the log filled them. With what the reader's own node
 * holds on demand, which is no part of what all agree on.
 */
export function orderedDocument(state: Readonly<FabricState>): StateDocument {
  const held = { node: state.held.node, subnets: [...state.held.subnets] };
  return { ...documentOf(state, (map) => [...map]), held };
}

type Entries = <V>(of: Iterable<readonly [string, V]>) => readonly (readonly [string, V])[];

function documentOf(state: Readonly<FabricState>, entries: Entries): StateDocument {
  const values = <V>(map: ReadonlyMap<string, V>): readonly V[] => entries(map).map(([, v]) => v);
  return {
    fabric: state.fabric,
    seq: state.seq,
    changedSeq: state.changedSeq,
    timeMs: state.timeMs,
    config: state.configDocument,
    configSeq: state.configSeq,
    nodes: values(state.nodes),
    leases: values(state.leases),
    reservations: values(state.reservations),
    peers: values(state.peers),
    tokens: values(state.tokens),
    webhooks: values(state.webhooks),
    endpoints: Object.fromEntries(entries(eachEndpoint(state.endpoints))),
    quarantine: state.quarantine,
  };
}

type Of<K extends keyof FabricState> = FabricState[K] extends Map<string, infer V> ? V : never;

export interface StateDocument {
  readonly fabric: string;
  readonly seq: number;
  readonly changedSeq: number;
  readonly timeMs: number;
  readonly config: { readonly [key: string]: Json } | null;
  readonly configSeq: number;
  readonly nodes: readonly Of<"nodes">[];
  readonly leases: readonly Of<"leases">[];
  readonly reservations: readonly Of<"reservations">[];
  readonly peers: readonly Of<"peers">[];
  readonly tokens: readonly Of<"tokens">[];
  readonly webhooks: readonly Of<"webhooks">[];
  readonly endpoints: { readonly [endpoint: string]: string };
  readonly quarantine: FabricState["quarantine"];
  readonly held?: { readonly node: string | null; readonly subnets: readonly Cidr[] };
}

function byKey(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  return a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0;
}

/** Null if its configuration is not accepted any more. */
export function stateFrom(document: StateDocument): FabricState | null {
  const { held } = document;
  const state = initialState(document.fabric, held?.node ?? null);
  for (const subnet of held?.subnets ?? []) state.held.subnets.add(subnet);
  state.seq = document.seq;
  state.changedSeq = document.changedSeq;
  state.timeMs = document.timeMs;
  state.configSeq = document.configSeq;
  if (document.config !== null) {
    const parsed = parseNetworkConfig(document.config);
    if (!parsed.ok) return null;
    state.config = parsed.config;
    state.configDocument = parsed.document;
  }
  for (const node of document.nodes) {
    shareLists(node);
    state.nodes.set(node.node, nodeOf(node, node));
  }
  for (const lease of document.leases) {
    state.leases.set(lease.node, lease);
    for (const subnet of lease.subnets) {
      state.owners.set(subnet, lease.node);
      take(state.taken, subnet, null);
    }
  }
  for (const reservation of document.reservations) {
    state.reservations.set(reservation.subnet, reservation);
  }
  for (const peer of document.peers) {
    state.peers.set(peer.name, peer);
    take(state.taken, peer.subnet, peer.name);
  }
  for (const token of document.tokens) state.tokens.set(token.name, token);
  for (const webhook of document.webhooks) state.webhooks.set(webhook.name, webhook);
  for (const [endpoint, holder] of Object.entries(document.endpoints)) {
    settle(state.endpoints, endpoint, holder);
  }
  state.quarantine = document.quarantine;
  return state;
}
