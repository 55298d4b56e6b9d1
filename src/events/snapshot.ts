// A folded state as JSON and back: a cache for fast start and for starting while the log is away,
// never the truth. It names the stream it was folded from, where, and by which version of these
// rules; a snapshot that does not fit is thrown away and the log is folded again.

import { z } from "zod";
import type { Cidr } from "./address.ts";
import { fnv1a32 } from "./hash.ts";
import { parseNetworkConfig } from "./network-config.ts";
import type { Json } from "./network-config-keys.ts";
import { type FabricState, initialState } from "./state.ts";

/** Raise when the fold's rules or the state's shape change: old snapshots are then refolded. */
const SNAPSHOT_SCHEMA = 2;

/** Where a reader stands in a log, and how it knows that log again. */
export interface Position {
  /** The stream's creation time, its identity. */
  readonly created: string;
  readonly seq: number;
  /** Hash over all records up to `seq`, hex. */
  readonly chain: string;
  /** Hash of the record at `seq` alone, hex: what can be checked against the log cheaply. */
  readonly tip: string;
}

export interface Snapshot {
  readonly position: Position;
  readonly state: FabricState;
  /** Instance of the agent that wrote it. After a reboot it tells that the name was ours. */
  readonly writer?: string | undefined;
}

const header = z.object({
  schema: z.literal(SNAPSHOT_SCHEMA),
  fabric: z.string(),
  position: z.object({
    created: z.string(),
    seq: z.int().nonnegative(),
    chain: z.string(),
    tip: z.string(),
  }),
  writer: z.string().optional(),
  sum: z.number(),
  // Written by encodeSnapshot of this very schema number, and the sum says that it is still what
  // was written: its shape is not checked again.
  state: z.record(z.string(), z.unknown()),
});

export function encodeSnapshot(snapshot: Snapshot): string {
  const { position, state, writer } = snapshot;
  // In the log's order, which the reconciler and its reports follow: a host that starts from a
  // snapshot sees the same as one that folded the whole log.
  const held = { node: state.held.node, subnets: [...state.held.subnets] };
  const text = JSON.stringify({ ...documentOf(state, (map) => [...map]), held });
  const sum = fnv1a32(text);
  const head = { schema: SNAPSHOT_SCHEMA, fabric: state.fabric, position, writer, sum };
  return `${JSON.stringify(head).slice(0, -1)},"state":${text}}`;
}

export type DecodedSnapshot =
  | { readonly ok: true; readonly snapshot: Snapshot }
  | { readonly ok: false; readonly reason: string };

export function decodeSnapshot(fabric: string, text: string): DecodedSnapshot {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    return { ok: false, reason: `not JSON: ${String(error)}` };
  }
  const parsed = header.safeParse(json);
  if (!parsed.success) return { ok: false, reason: "not a snapshot of this version" };
  if (parsed.data.fabric !== fabric) {
    return { ok: false, reason: `it is of fabric ${parsed.data.fabric}` };
  }
  if (fnv1a32(JSON.stringify(parsed.data.state)) !== parsed.data.sum) {
    return { ok: false, reason: "damaged: the checksum does not match" };
  }
  const { position, writer } = parsed.data;
  const state = stateFrom(fabric, parsed.data.state as unknown as Stored);
  if (state === null) return { ok: false, reason: "its configuration is not accepted any more" };
  if (state.seq !== position.seq) {
    return { ok: false, reason: `its state is of ${state.seq}, its position ${position.seq}` };
  }
  return { ok: true, snapshot: { position, state, writer } };
}

/** The state as plain JSON: Maps become arrays in key order, so equal states give equal text. */
export function stateDocument(state: Readonly<FabricState>): StateDocument {
  return documentOf(state, (map) => [...map].sort(byKey));
}

type Entries = <V>(map: ReadonlyMap<string, V>) => readonly (readonly [string, V])[];

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
    endpoints: Object.fromEntries(entries(state.endpoints)),
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
  readonly endpoints: { readonly [endpoint: string]: string };
  readonly quarantine: FabricState["quarantine"];
}

function byKey(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  return a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0;
}

type Stored = StateDocument & {
  readonly held: { readonly node: string | null; readonly subnets: readonly Cidr[] };
};

function stateFrom(fabric: string, document: Stored): FabricState | null {
  const state = initialState(fabric, document.held.node);
  for (const subnet of document.held.subnets) state.held.subnets.add(subnet);
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
  for (const node of document.nodes) state.nodes.set(node.node, node);
  for (const lease of document.leases) {
    state.leases.set(lease.node, lease);
    for (const subnet of lease.subnets) state.owners.set(subnet, lease.node);
  }
  for (const reservation of document.reservations) {
    state.reservations.set(reservation.subnet, reservation);
  }
  for (const peer of document.peers) state.peers.set(peer.name, peer);
  for (const token of document.tokens) state.tokens.set(token.name, token);
  for (const [endpoint, holder] of Object.entries(document.endpoints)) {
    state.endpoints.set(endpoint, holder);
  }
  state.quarantine = document.quarantine;
  return state;
}
