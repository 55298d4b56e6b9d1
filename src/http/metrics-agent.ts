// What Prometheus learns from an agent. Loaded at the first scrape: an agent that nobody scrapes
// pays nothing for it. No label has a value per peer: a host may have thousands.

import type { OpCounts } from "../agent/op-counts.ts";
import type { AgentPhase, AgentStatus } from "../agent/status.ts";
import { Scrape } from "./scrape.ts";

const PHASES: readonly AgentPhase[] = ["starting", "ready", "degraded", "frozen", "stopping"];

export function agentMetrics(status: AgentStatus, ops: OpCounts): Promise<string> {
  const scrape = new Scrape();
  aboutItself(scrape, status);
  aboutPeers(scrape, status);
  aboutKernel(scrape, status, ops);
  if (status.tunnel !== undefined) aboutTunnel(scrape, status.tunnel.counters);
  if (status.misses !== undefined) aboutMisses(scrape, status.misses);
  scrape.process();
  return scrape.text();
}

function aboutItself(scrape: Scrape, status: AgentStatus): void {
  const { node, fabric, version, backend, state, seq, lease, log } = status;
  const labels = { node, fabric, version, backend: backend?.type ?? "none" };
  scrape.gauge("heddle_agent_info", "Always 1; its labels tell which agent this is", [[labels, 1]]);
  scrape.gauge(
    "heddle_agent_state",
    "1 for the state the agent is in, 0 for the others",
    PHASES.map((phase) => [{ state: phase }, phase === state ? 1 : 0]),
  );
  const problems = "What keeps the host from being well, in number";
  scrape.gauge("heddle_agent_problems", problems, status.problems.length);
  const applied = "Sequence of the log up to which the kernel is right";
  scrape.gauge("heddle_agent_applied_sequence", applied, seq.applied);
  scrape.gauge("heddle_agent_head_sequence", "Last sequence of the log that is known", seq.head);
  const lag = "Records of the log that are not applied yet";
  scrape.gauge("heddle_agent_lag_records", lag, Math.max(0, seq.head - seq.applied));
  const connected = "1 while the log answers";
  scrape.gauge("heddle_agent_log_connected", connected, log.connected ? 1 : 0);
  const quarantined = "Records that the fold refused, over the whole log";
  scrape.gauge("heddle_agent_quarantined_records", quarantined, status.quarantined);
  if (lease === null) return;
  const ends = "When the lease ends unless it is renewed, since the epoch; absent without a lease";
  const expiry = Date.parse(lease.expiresAt) / 1000;
  scrape.gauge("heddle_agent_lease_expiry_timestamp_seconds", ends, expiry);
}

function aboutPeers(scrape: Scrape, { peers }: AgentStatus): void {
  const counts = { applied: 0, pending: 0, failed: 0 };
  for (const peer of peers) counts[peer.state]++;
  scrape.gauge("heddle_agent_peers_wanted", "Peers that the log wants of this host", peers.length);
  scrape.gauge(
    "heddle_agent_peers",
    "Peers by how far they are programmed",
    Object.entries(counts).map(([state, count]) => [{ state }, count]),
  );
}

function aboutKernel(scrape: Scrape, { drift }: AgentStatus, { sent, failed }: OpCounts): void {
  const healed = "Objects that somebody else had changed and the agent put right";
  scrape.counter("heddle_agent_drift_healed_total", healed, drift.healed);
  const pending = "Objects that somebody else changed and are not known to be right again";
  scrape.gauge("heddle_agent_drift_pending", pending, drift.pending);
  scrape.counter(
    "heddle_agent_ops_total",
    "Changes sent to the kernel by the reconciler",
    Array.from(sent, ([op, count]) => {
      const [verb = "", noun = ""] = op.split(" ");
      return [{ verb, noun }, count];
    }),
  );
  scrape.counter(
    "heddle_agent_op_errors_total",
    "Changes that failed, by the kernel's error; other: refused before the kernel was asked",
    Array.from(failed, ([errno, count]) => [{ errno }, count]),
  );
}

/** By the names of native/heddle.h: `rx_drop_source` is reason `source` of direction `rx`. */
const DROP = /^([rt]x)_drop_(\w+)$/;
/** `tx_encap_bytes` went through the kernel's own path, `tx_bytes` through the agent's. */
const VOLUME = /^([rt]x)_((?:en|de)cap_)?(packets|bytes)$/;

function aboutTunnel(scrape: Scrape, counters: Readonly<Record<string, number>>): void {
  const drops: [Record<string, string>, number][] = [];
  const volumes = { packets: [...drops], bytes: [...drops] };
  const others: typeof drops = [];
  for (const [name, value] of Object.entries(counters)) {
    const [, dropDirection, reason] = DROP.exec(name) ?? [];
    const [, direction, fast, unit] = VOLUME.exec(name) ?? [];
    if (dropDirection !== undefined && reason !== undefined) {
      drops.push([{ direction: dropDirection, reason }, value]);
    } else if (direction !== undefined && (unit === "packets" || unit === "bytes")) {
      const path = fast === undefined ? "agent" : "kernel";
      volumes[unit].push([{ direction, path }, value]);
    } else others.push([{ event: name }, value]);
  }
  const dropped = "Packets that the udp backend's tunnel did not deliver";
  scrape.counter("heddle_tunnel_dropped_packets_total", dropped, drops);
  const carried = "that the udp backend's tunnel carried, by direction and path";
  scrape.counter("heddle_tunnel_packets_total", `Packets ${carried}`, volumes.packets);
  scrape.counter("heddle_tunnel_bytes_total", `Inner bytes ${carried}`, volumes.bytes);
  scrape.counter("heddle_tunnel_events_total", "Other counters of the tunnel, by name", others);
}

function aboutMisses(scrape: Scrape, misses: NonNullable<AgentStatus["misses"]>): void {
  const { answered, unknown, held } = misses;
  scrape.counter("heddle_misses_total", "Neighbours that the kernel asked for", [
    [{ outcome: "answered" }, answered],
    [{ outcome: "unknown" }, unknown],
  ]);
  scrape.gauge("heddle_misses_held_subnets", "Peers' subnets with entries in the kernel", held);
}
