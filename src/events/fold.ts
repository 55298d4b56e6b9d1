// The arbiter. What an event means is decided here, at its position in the log, by the log alone:
// the first valid claim wins, later ones are void, and every replay of the same log gives the same
// owners. It takes any record in any state and never throws: what no honest host would write is
// quarantined, what merely lost a race is void, and neither changes anything else.

import { decode } from "./codec.ts";
import type { Event, EventType } from "./event.ts";
import { foldAdmin } from "./fold-admin.ts";
import { foldLease } from "./fold-lease.ts";
import { foldMember, isRepeated } from "./fold-member.ts";
import { foldMiss } from "./fold-miss.ts";
import type { Recorded } from "./log.ts";
import type { FabricState } from "./state.ts";
import { accepted, against, type Verdict } from "./verdict.ts";

/** How many quarantined records a state remembers; the count goes on. */
export const QUARANTINE_MAX = 64;

/** Types that can change what a host's kernel should hold. */
const CHANGES: ReadonlySet<EventType> = new Set<EventType>([
  "FabricConfigured",
  "PeerAdded",
  "PeerRemoved",
  "LeaseRevoked",
  "NodeJoined",
  "NodeUpdated",
  "NodeLeft",
  "LeaseClaimed",
  "LeaseReleased",
  "LeaseExpired",
]);

/** A record with its event and what became of it. */
export interface Folded {
  readonly verdict: Verdict;
  /** Null when the record could not be decoded. */
  readonly event: Event | null;
}

/** Folds one record into `state`, which must stand exactly one before it. */
export function fold(state: FabricState, record: Recorded): Folded {
  const decoded = decode(state.fabric, record);
  state.seq = record.seq;
  // Stream time never runs backwards for us, even if the server's clock did.
  state.timeMs = Math.max(state.timeMs, record.timeMs);
  const event = decoded.ok ? decoded.event : null;
  // Before it is folded: an agent that starts again says the same, and costs no other host a plan.
  const matters = event !== null && CHANGES.has(event.type) && !isRepeated(state, event);
  const verdict = decoded.ok ? foldEvent(state, decoded.event) : against(decoded.reason);
  if (verdict.kind === "accepted" && matters) state.changedSeq = record.seq;
  if (verdict.kind === "quarantined") quarantine(state, record, event, verdict.reason);
  return { verdict, event };
}

function foldEvent(state: FabricState, event: Event): Verdict {
  switch (event.type) {
    case "FabricConfigured":
    case "PeerAdded":
    case "PeerRemoved":
    case "LeaseReserved":
    case "LeaseRevoked":
    case "TokenCreated":
    case "TokenRevoked":
    case "WebhookAdded":
    case "WebhookRemoved":
      return foldAdmin(state, event);
    case "NodeJoined":
    case "NodeUpdated":
    case "NodeLeft":
      return foldMember(state, event);
    case "LeaseClaimed":
    case "LeaseRenewed":
    case "LeaseReleased":
    case "LeaseExpired":
      return foldLease(state, event);
    case "NeighborMissed":
    case "NeighborAged":
      return foldMiss(state, event);
    case "DriftHealed":
    case "HostDegraded":
    case "HostRecovered":
    case "HostFrozen":
      return accepted; // Reports are history; they decide nothing.
  }
}

function quarantine(state: FabricState, record: Recorded, event: Event | null, why: string): void {
  const { recent, count } = state.quarantine;
  const entry = {
    seq: record.seq,
    timeMs: record.timeMs,
    subject: record.subject,
    type: event?.type ?? null,
    reason: why,
  };
  state.quarantine = {
    count: count + 1,
    recent: [...recent, entry].slice(-QUARANTINE_MAX),
  };
}
