// Entries on demand for people: the line of `heddle status`.

import type { MissStatus } from "../agent/on-demand.ts";

export function missLine(misses: MissStatus): string {
  const { mode, held, hotPeers, answered, unknown, suppressed, path } = misses;
  const kept = mode === "hybrid" ? `, the last ${hotPeers} kept` : "";
  const unnamed = suppressed === 0 ? "" : ` (${suppressed} not in the log)`;
  const asked = `${answered} misses answered, ${unknown} of nobody${unnamed}`;
  return `${"on demand".padEnd(11)} ${mode}: ${held} held${kept}; ${asked}${pathText(path)}`;
}

function pathText(path: MissStatus["path"]): string {
  if (path === null) return "";
  if (path.by === "event-loop") return `; no thread answers: ${path.reason}`;
  return path.realtime ? "" : "; the answering thread has no priority";
}
