// A folded state as JSON and back: a cache for fast start and for starting while the log is away,
// never the truth. It names the stream it was folded from, where, and by which version of these
// rules; a snapshot that does not fit is thrown away and the log is folded again.

import { fnv1a32 } from "./hash.ts";
import { messageSchemas } from "./late.ts";
import type { FabricState } from "./state.ts";
import { orderedDocument, type StateDocument, stateFrom } from "./state-document.ts";

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

export function encodeSnapshot(snapshot: Snapshot): string {
  const { position, state, writer } = snapshot;
  const text = encodeState(state);
  const sum = fnv1a32(text);
  const head = { schema: SNAPSHOT_SCHEMA, fabric: state.fabric, position, writer, sum };
  return `${JSON.stringify(head).slice(0, -1)},"state":${text}}`;
}

/**
 * The state alone, in the log's order, which the reconciler and its reports follow: whoever goes on
 * from it sees the same as one that folded the whole log.
 */
export function encodeState(state: Readonly<FabricState>): string {
  return JSON.stringify(orderedDocument(state));
}

/** What `encodeState` of this very program wrote. */
export function decodeState(text: string): FabricState {
  const state = stateFrom(JSON.parse(text) as StateDocument);
  if (state === null) throw new Error("a state of this program is not accepted by it");
  return state;
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
  const parsed = messageSchemas().snapshotHeader.safeParse(json);
  if (!parsed.success || parsed.data.schema !== SNAPSHOT_SCHEMA)
    return { ok: false, reason: "not a snapshot of this version" };
  if (parsed.data.fabric !== fabric) {
    return { ok: false, reason: `it is of fabric ${parsed.data.fabric}` };
  }
  if (fnv1a32(JSON.stringify(parsed.data.state)) !== parsed.data.sum) {
    return { ok: false, reason: "damaged: the checksum does not match" };
  }
  const { position, writer } = parsed.data;
  const state = stateFrom(parsed.data.state as unknown as StateDocument);
  if (state === null) return { ok: false, reason: "its configuration is not accepted any more" };
  if (state.seq !== position.seq) {
    return { ok: false, reason: `its state is of ${state.seq}, its position ${position.seq}` };
  }
  return { ok: true, snapshot: { position, state, writer } };
}
