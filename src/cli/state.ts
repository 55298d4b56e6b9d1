// heddle state: the fold of the log up to a point.

import { onDemand } from "../events/fold-miss.ts";
import { isoTime, type Point } from "../events/point.ts";
import type { FabricState } from "../events/state.ts";
import { summaryOf } from "../events/summary.ts";
import { stateView } from "../http/views.ts";
import type { Deps } from "./deps.ts";
import { EXIT_OK } from "./failure.ts";
import type { LogFlags, NodeFlag } from "./flags.ts";
import { stateAt } from "./plan.ts";
import { cell, tableLines } from "./table.ts";

interface StateFlags extends LogFlags, NodeFlag {
  readonly at?: Point;
  readonly json?: boolean;
}

export async function state(deps: Deps, flags: StateFlags): Promise<number> {
  const folded = await stateAt(deps, flags, flags.at, flags.node ?? null);
  const { node, subnets } = folded.held;
  const held = node === null ? {} : { held: { node, subnets: [...subnets] } };
  if (flags.json) deps.out.json({ ...stateView(folded), ...held });
  else for (const line of overview(folded)) deps.out.line(line);
  return EXIT_OK;
}

function overview(folded: Readonly<FabricState>): readonly string[] {
  const { configDocument, quarantine } = folded;
  const when = folded.seq === 0 ? "-" : isoTime(folded.timeMs);
  const config =
    configDocument === null
      ? "not configured"
      : summaryOf({ type: "FabricConfigured", data: { config: { ...configDocument } } });
  const lines = [
    `fabric       ${folded.fabric}`,
    `sequence     ${folded.seq}`,
    `time         ${when}`,
    `config       ${config}${folded.configSeq > 0 ? ` (sequence ${folded.configSeq})` : ""}`,
    `quarantined  ${quarantine.count}`,
  ];
  const { node: holder, subnets } = folded.held;
  if (holder !== null && onDemand(folded.config) !== null) {
    lines.push(`held         by ${holder}: ${subnets.size === 0 ? "-" : [...subnets].join(" ")}`);
  }
  const rows = [...folded.nodes.values()].map((node) => [
    node.node,
    node.present ? "present" : "left",
    cell(folded.leases.get(node.node)?.subnets.join(",")),
    cell(node.publicIp ?? node.publicIpv6),
  ]);
  for (const peer of folded.peers.values()) {
    rows.push([`peer:${peer.name}`, "foreign", peer.subnet, peer.publicIp]);
  }
  for (const { subnet, node } of folded.reservations.values()) {
    rows.push([node ?? "-", "reserved", subnet, "-"]);
  }
  if (rows.length === 0) return lines;
  const sorted = rows.sort((a, b) => (a.join() < b.join() ? -1 : 1));
  return [...lines, "", ...tableLines(["NODE", "STATE", "SUBNETS", "PUBLIC IP"], sorted)];
}
