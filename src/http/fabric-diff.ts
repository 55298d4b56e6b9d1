// What differs between two states of a fabric, as a document. Pure. Renewals and reports are not
// differences: they change nothing that a host would do.

import { isDeepStrictEqual } from "node:util";
import type { FabricState, Node } from "../events/state.ts";
import { type PeerView, peersView } from "./views.ts";

export interface Change<T> {
  readonly from: T;
  readonly to: T;
}

export interface FieldChange extends Change<unknown> {
  readonly field: string;
}

export interface LeaseEntry {
  readonly node: string;
  readonly subnets: readonly string[];
}

export interface FabricDiff {
  readonly config: readonly FieldChange[];
  readonly nodes: {
    readonly joined: readonly string[];
    readonly left: readonly string[];
    readonly changed: readonly { readonly node: string; readonly fields: readonly FieldChange[] }[];
  };
  readonly leases: {
    readonly gained: readonly LeaseEntry[];
    readonly lost: readonly LeaseEntry[];
    readonly moved: readonly ({ readonly node: string } & Change<readonly string[]>)[];
  };
  readonly reservations: { readonly added: readonly string[]; readonly removed: readonly string[] };
  readonly peers: {
    readonly added: readonly PeerView[];
    readonly removed: readonly PeerView[];
    readonly changed: readonly { readonly name: string; readonly fields: readonly FieldChange[] }[];
  };
}

type State = Readonly<FabricState>;

export function fabricDiff(from: State, to: State): FabricDiff {
  return {
    config: fieldChanges(flat(from.configDocument ?? {}), flat(to.configDocument ?? {})),
    nodes: nodeChanges(from, to),
    leases: leaseChanges(from, to),
    reservations: {
      added: onlyIn(to.reservations, from.reservations),
      removed: onlyIn(from.reservations, to.reservations),
    },
    peers: peerChanges(from, to),
  };
}

function nodeChanges(from: State, to: State): FabricDiff["nodes"] {
  const before = present(from);
  const after = present(to);
  const changed = [...after.keys()]
    .filter((name) => before.has(name))
    .map((name) => ({
      node: name,
      fields: fieldChanges(facts(before.get(name)), facts(after.get(name))),
    }));
  return {
    joined: onlyIn(after, before),
    left: onlyIn(before, after),
    changed: changed.filter(({ fields }) => fields.length > 0).sort(by((item) => item.node)),
  };
}

function present(state: State): ReadonlyMap<string, Node> {
  return new Map([...state.nodes].filter(([, node]) => node.present));
}

/** What others program a node by; when it was heard from is not part of it. */
function facts(node: Node | undefined): Readonly<Record<string, unknown>> {
  if (node === undefined) return {};
  const { publicIp, publicIpv6, vtepMac, vtepMacV6, backend, underlay, ipMasq, version } = node;
  return flat({ publicIp, publicIpv6, vtepMac, vtepMacV6, backend, underlay, ipMasq, version });
}

function leaseChanges(from: State, to: State): FabricDiff["leases"] {
  const entry = (state: State, node: string): LeaseEntry => ({
    node,
    subnets: state.leases.get(node)?.subnets ?? [],
  });
  const both = [...to.leases.keys()].filter((node) => from.leases.has(node)).sort();
  const moved = both.map((node) => ({
    node,
    from: entry(from, node).subnets,
    to: entry(to, node).subnets,
  }));
  return {
    gained: onlyIn(to.leases, from.leases).map((node) => entry(to, node)),
    lost: onlyIn(from.leases, to.leases).map((node) => entry(from, node)),
    moved: moved.filter((change) => !isDeepStrictEqual(change.from, change.to)),
  };
}

function peerChanges(from: State, to: State): FabricDiff["peers"] {
  const before = new Map(peersView(from).map((peer) => [peer.name, peer]));
  const after = new Map(peersView(to).map((peer) => [peer.name, peer]));
  const changed = [...after].map(([name, peer]) => {
    const old = before.get(name);
    return { name, fields: old === undefined ? [] : fieldChanges({ ...old }, { ...peer }) };
  });
  return {
    added: [...after.values()].filter(({ name }) => !before.has(name)),
    removed: [...before.values()].filter(({ name }) => !after.has(name)),
    changed: changed.filter(({ fields }) => fields.length > 0),
  };
}

function fieldChanges(
  from: Readonly<Record<string, unknown>>,
  to: Readonly<Record<string, unknown>>,
): readonly FieldChange[] {
  const fields = [...new Set([...Object.keys(from), ...Object.keys(to)])];
  return fields
    .map((field) => ({ field, from: from[field] ?? null, to: to[field] ?? null }))
    .filter((change) => !isDeepStrictEqual(change.from, change.to));
}

/** `{ a: { b: 1 } }` as `{ "a.b": 1 }`, one level deep. */
function flat(document: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const entries = Object.entries(document).flatMap(([key, value]): [string, unknown][] =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.entries(value).map(([inner, item]) => [`${key}.${inner}`, item])
      : [[key, value]],
  );
  return Object.fromEntries(entries);
}

function onlyIn(map: ReadonlyMap<string, unknown>, other: ReadonlyMap<string, unknown>): string[] {
  return [...map.keys()].filter((key) => !other.has(key)).sort();
}

function by<T>(key: (item: T) => string): (a: T, b: T) => number {
  return (a, b) => (key(a) < key(b) ? -1 : 1);
}

/** One line per difference: `+` new, `-` gone, `~` other than before. */
export function fabricDiffLines(found: FabricDiff): readonly string[] {
  const { config, nodes, leases, reservations, peers } = found;
  const line = (what: string, sign: string, text: string): string =>
    `${what.padEnd(11)} ${sign} ${text}`;
  const subnets = ({ node, subnets: list }: LeaseEntry): string => `${node} ${list.join(" ")}`;
  const peer = (it: PeerView): string => `${it.name} ${it.subnet} at ${it.publicIp}`;
  return [
    ...config.map((change) => line("config", "~", fieldText(change))),
    ...nodes.joined.map((node) => line("node", "+", node)),
    ...nodes.left.map((node) => line("node", "-", node)),
    ...nodes.changed.flatMap(({ node, fields }) =>
      fields.map((change) => line("node", "~", `${node} ${fieldText(change)}`)),
    ),
    ...leases.gained.map((lease) => line("lease", "+", subnets(lease))),
    ...leases.lost.map((lease) => line("lease", "-", subnets(lease))),
    ...leases.moved.map(({ node, from, to }) =>
      line("lease", "~", `${node} ${from.join(" ")} -> ${to.join(" ")}`),
    ),
    ...reservations.added.map((subnet) => line("reservation", "+", subnet)),
    ...reservations.removed.map((subnet) => line("reservation", "-", subnet)),
    ...peers.added.map((it) => line("peer", "+", peer(it))),
    ...peers.removed.map((it) => line("peer", "-", peer(it))),
    ...peers.changed.flatMap(({ name, fields }) =>
      fields.map((change) => line("peer", "~", `${name} ${fieldText(change)}`)),
    ),
  ];
}

function fieldText({ field, from, to }: FieldChange): string {
  return `${field}: ${valueText(from)} -> ${valueText(to)}`;
}

function valueText(value: unknown): string {
  if (value === null) return "-";
  return typeof value === "string" ? value : JSON.stringify(value);
}
