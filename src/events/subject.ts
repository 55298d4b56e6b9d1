// Where each event is published. The writer is in the subject, so that NATS permissions
// authenticate it: a host may publish below `heddle.<fabric>.node.<itself>` only. The codec
// compares the subject a record arrived on with the subject its content belongs on; a difference is
// a forgery.

import type { Draft } from "./event.ts";
import { cidrToken, nameToken } from "./name.ts";

/** All subjects of a fabric's log, as a NATS wildcard. */
export function allSubjects(fabric: string): string {
  return `heddle.${fabric}.>`;
}

export function subjectOf(fabric: string, event: Draft): string {
  return `heddle.${fabric}.${path(event)}`;
}

function path(event: Draft): string {
  switch (event.type) {
    case "FabricConfigured":
      return "admin.config";
    case "PeerAdded":
    case "PeerRemoved":
      return `admin.peer.${nameToken(event.data.name)}`;
    case "LeaseReserved":
    case "LeaseRevoked":
      return `admin.lease.${cidrToken(event.data.subnet)}`;
    case "TokenCreated":
    case "TokenRevoked":
      return `admin.token.${nameToken(event.data.name)}`;
    case "WebhookAdded":
    case "WebhookRemoved":
      return `admin.hook.${nameToken(event.data.name)}`;
    case "NodeJoined":
    case "NodeUpdated":
    case "NodeLeft":
      return `node.${nameToken(event.data.node)}.member`;
    case "LeaseClaimed":
    case "LeaseRenewed":
    case "LeaseReleased":
    case "LeaseExpired":
      return `node.${nameToken(event.data.node)}.lease`;
    case "NeighborMissed":
    case "NeighborAged":
      return `node.${nameToken(event.data.node)}.miss`;
    case "DriftHealed":
    case "HostDegraded":
    case "HostRecovered":
    case "HostFrozen":
      return `node.${nameToken(event.data.node)}.report`;
  }
}
