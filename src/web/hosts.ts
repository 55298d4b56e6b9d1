// The hosts of one moment as the page lists and draws them: what the log says of each, and at the
// live end what the host itself last said on the status board.

import { containsIp, familyOf, formatPrefix, networkBase, toNumber } from "../events/address.ts";
import type { StateDocument } from "../events/state-document.ts";

/** Worst first: the order in which lists show them. */
export const HEALTHS = [
  "frozen",
  "degraded",
  "silent",
  "behind",
  "ready",
  "unknown",
  "left",
] as const;
export type Health = (typeof HEALTHS)[number];

/** As people read it. */
export const HEALTH_TEXT: Readonly<Record<Health, string>> = {
  frozen: "frozen",
  degraded: "degraded",
  silent: "silent",
  behind: "catching up",
  ready: "ready",
  unknown: "present",
  left: "left",
};

/** What a host last said of itself, as `GET /v1/hosts` gives it. */
export interface HostProgress {
  readonly node: string;
  readonly state: string;
  readonly applied: number;
  readonly peers: { readonly applied: number; readonly pending: number; readonly failed: number };
  readonly problems: readonly string[];
  readonly heardAt: string;
  readonly silent: boolean;
}

export interface HostRow {
  readonly name: string;
  readonly subnets: readonly string[];
  readonly publicIp: string | null;
  readonly backend: string;
  readonly health: Health;
  /** Last sequence the host has applied; null when it is not known. */
  readonly applied: number | null;
  readonly problems: readonly string[];
  /** The link the host is on: its underlay prefix. */
  readonly group: string;
}

/** `progress` is null for a moment of the past, of which the board keeps nothing. */
export function hostRows(
  state: StateDocument,
  progress: ReadonlyMap<string, HostProgress> | null,
): readonly HostRow[] {
  const subnets = new Map(state.leases.map((lease) => [lease.node, lease.subnets]));
  const rows = state.nodes.map((node): HostRow => {
    const said = progress?.get(node.node);
    return {
      name: node.node,
      subnets: subnets.get(node.node) ?? [],
      publicIp: node.publicIp ?? node.publicIpv6,
      backend: node.backend,
      health: healthOf(node.present, progress !== null, said, state.changedSeq),
      applied: said?.applied ?? null,
      problems: said?.problems ?? [],
      group: groupOf(node.publicIp ?? node.publicIpv6, node.underlay.onlink),
    };
  });
  const order = new Intl.Collator("en", { numeric: true });
  return rows.sort((a, b) => order.compare(a.name, b.name));
}

function healthOf(
  present: boolean,
  live: boolean,
  said: HostProgress | undefined,
  changedSeq: number,
): Health {
  if (!present) return "left";
  if (!live) return "unknown";
  if (said === undefined || said.silent) return "silent";
  if (said.state === "frozen") return "frozen";
  if (said.state === "degraded" || said.peers.failed > 0) return "degraded";
  return said.state === "ready" && said.applied >= changedSeq ? "ready" : "behind";
}

/** Hosts are the same from moment to moment; finding their link is most of what a moment costs. */
const groups = new Map<string, string>();
const GROUPS_MAX = 20_000;

function groupOf(ip: string | null, onlink: readonly string[]): string {
  if (ip === null) return "no underlay address";
  const key = `${ip} ${onlink.join()}`;
  const known = groups.get(key);
  if (known !== undefined) return known;
  if (groups.size >= GROUPS_MAX) groups.clear();
  const group = linkOf(ip, onlink);
  groups.set(key, group);
  return group;
}

/** The on-link prefix that holds the address, else the address's own neighbourhood. */
function linkOf(ip: string, onlink: readonly string[]): string {
  const link = onlink.find((prefix) => containsIp(prefix, ip));
  if (link !== undefined) return link;
  const family = familyOf(ip);
  const around = { family, base: toNumber(ip), length: family === "ipv4" ? 24 : 64 };
  return formatPrefix({ ...around, base: networkBase(around) });
}

/** Rows whose name, subnet or address contains the text. */
export function findHosts(rows: readonly HostRow[], text: string): readonly HostRow[] {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return rows;
  return rows.filter(({ name, subnets, publicIp }) =>
    [name, publicIp ?? "", ...subnets].some((field) => field.toLowerCase().includes(wanted)),
  );
}

/** Worst first, then as given. */
export function worstFirst(rows: readonly HostRow[]): readonly HostRow[] {
  const rank = (row: HostRow): number => HEALTHS.indexOf(row.health);
  return [...rows].sort((a, b) => rank(a) - rank(b));
}
