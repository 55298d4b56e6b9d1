// The agent's parts as one AgentStatus. Pure.

import type { FabricState } from "../events/state.ts";
import type { Round } from "../reconcilers/loop.ts";
import type { PeerPlan, Plan } from "../reconcilers/plan.ts";
import type { AgentPhase, AgentStatus, BoardEntry, PeerStatus } from "./status.ts";
import type { TailView } from "./tail.ts";

export interface Parts {
  readonly node: string;
  readonly instance: string;
  readonly version: string;
  readonly tail: TailView;
  readonly state: Readonly<FabricState>;
  readonly plan: Plan | null;
  readonly round: Round | null;
  /** Sequence up to which the kernel is known to be right. */
  readonly appliedSeq: number;
  /** Whoever waits for a ready host reads subnet.env next. */
  readonly fileInPlace: boolean;
  readonly problems: readonly string[];
  readonly stopping: boolean;
  readonly wasReady: boolean;
  readonly healed: number;
}

export function phaseOf(parts: Parts): AgentPhase {
  if (parts.stopping) return "stopping";
  if (parts.tail.damage !== null) return "frozen";
  if (isReady(parts)) return parts.problems.length === 0 ? "ready" : "degraded";
  return parts.wasReady || parts.problems.length > 0 ? "degraded" : "starting";
}

/**
 * The fold has passed the head seen at start and the last look at the kernel found no difference.
 */
export function isReady(parts: Parts): boolean {
  const { tail, plan, round, state, node } = parts;
  if (!tail.caughtUp || tail.damage !== null || plan === null || round === null) return false;
  if (!parts.fileInPlace) return false;
  return state.leases.has(node) && round.seq === plan.seq && round.clean;
}

export function statusOf(parts: Parts): AgentStatus {
  const peers = (parts.plan?.peers ?? []).map((peer) => peerStatus(peer, parts));
  return { ...summaryOf(parts), peers };
}

/**
 * For the status board: N hosts with N peers each would otherwise write N² lines every other second,
 * and each would make N objects to throw away.
 */
export function boardEntryOf(parts: Parts): BoardEntry {
  const peers = { applied: 0, pending: 0, failed: 0 };
  for (const peer of parts.plan?.peers ?? []) peers[stateOf(peer, parts)]++;
  return { ...summaryOf(parts), peers };
}

function summaryOf(parts: Parts): Omit<AgentStatus, "peers"> {
  const { tail, state, plan, round, node } = parts;
  const lease = state.leases.get(node);
  return {
    node,
    fabric: state.fabric,
    instance: parts.instance,
    state: phaseOf(parts),
    problems: parts.problems,
    seq: { applied: parts.appliedSeq, head: tail.head },
    lease:
      lease === undefined
        ? null
        : {
            subnets: lease.subnets,
            epoch: lease.epoch,
            renewedAt: new Date(lease.renewedMs).toISOString(),
            expiresAt: new Date(lease.expiresMs).toISOString(),
          },
    backend: backendOf(state, plan),
    drift: { healed: parts.healed, pending: pendingDrift(round) },
    log: { server: tail.server, connected: tail.connected, frozen: tail.damage },
    quarantined: state.quarantine.count,
    version: parts.version,
  };
}

function backendOf(state: Readonly<FabricState>, plan: Plan | null): AgentStatus["backend"] {
  if (state.config === null || plan === null || plan.device === null) return null;
  return { type: state.config.backend.type, device: plan.device.name, mtu: plan.device.mtu };
}

function peerStatus(peer: PeerPlan, parts: Parts): PeerStatus {
  const { node, subnets, publicIp, path } = peer;
  return {
    node,
    subnets,
    publicIp,
    path,
    state: stateOf(peer, parts),
    error: errorOf(peer, parts),
  };
}

function stateOf(peer: PeerPlan, parts: Parts): PeerStatus["state"] {
  if (errorOf(peer, parts) !== null) return "failed";
  return parts.round !== null && parts.round.seq === parts.plan?.seq ? "applied" : "pending";
}

function errorOf(peer: PeerPlan, { round }: Parts): string | null {
  return round?.failures.get(peer.node) ?? peer.error;
}

/** Drift that was found and is not known to be healed yet. */
function pendingDrift(round: Round | null): number {
  return round === null || round.clean ? 0 : round.driftCount;
}
