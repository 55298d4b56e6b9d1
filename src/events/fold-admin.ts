// What operators say: the configuration, reservations, foreign peers, tokens, webhooks.

import { holderAt, settle, vacate } from "./endpoints.ts";
import type { EventOf } from "./event.ts";
import { dropLease, withdraw } from "./fold-lease.ts";
import { dropHeld, switchHeld } from "./fold-miss.ts";
import { parseNetworkConfig } from "./network-config.ts";
import { inPool } from "./pool.ts";
import type { FabricState, ForeignPeer } from "./state.ts";
import { giveBack, inTheWay, take } from "./taken.ts";
import { accepted, against, lost, type Verdict } from "./verdict.ts";

type AdminEvent = EventOf<
  | "FabricConfigured"
  | "PeerAdded"
  | "PeerRemoved"
  | "LeaseReserved"
  | "LeaseRevoked"
  | "TokenCreated"
  | "TokenRevoked"
  | "WebhookAdded"
  | "WebhookRemoved"
>;

export function foldAdmin(state: FabricState, event: AdminEvent): Verdict {
  switch (event.type) {
    case "FabricConfigured":
      return configure(state, event.data.config);
    case "PeerAdded":
      return addPeer(state, event.data);
    case "PeerRemoved":
      return removePeer(state, event.data.name);
    case "LeaseReserved":
      return reserve(state, event.data);
    case "LeaseRevoked":
      return revoke(state, event.data.subnet);
    case "TokenCreated":
      state.tokens.set(event.data.name, event.data);
      return accepted;
    case "TokenRevoked":
      return state.tokens.delete(event.data.name)
        ? accepted
        : lost(`no token named ${event.data.name}`);
    case "WebhookAdded":
      return addWebhook(state, event.data);
    case "WebhookRemoved":
      return state.webhooks.delete(event.data.name)
        ? accepted
        : lost(`no webhook named ${event.data.name}`);
  }
}

/** One that is there stays as it is: its place in the log is what its cursor and secret hang on. */
function addWebhook(state: FabricState, data: EventOf<"WebhookAdded">["data"]): Verdict {
  if (state.webhooks.has(data.name)) return lost(`there is a webhook named ${data.name}`);
  state.webhooks.set(data.name, { ...data, addedSeq: state.seq });
  return accepted;
}

/** Leases that are no subnets of the new pool end here; their holders claim again. */
function configure(state: FabricState, document: unknown): Verdict {
  const parsed = parseNetworkConfig(document);
  if (!parsed.ok) return against(`config.${parsed.reason}`);
  const before = state.config;
  state.config = parsed.config;
  state.configDocument = parsed.document;
  state.configSeq = state.seq;
  const pools = [parsed.config.ipv4, parsed.config.ipv6].filter((pool) => pool !== null);
  for (const lease of [...state.leases.values()]) {
    const fits =
      lease.subnets.length === pools.length &&
      pools.every((pool) => lease.subnets.some((subnet) => inPool(pool, subnet)));
    if (!fits) dropLease(state, lease.node);
  }
  switchHeld(state, before);
  return accepted;
}

function addPeer(state: FabricState, data: ForeignPeer): Verdict {
  const clash = peerClash(state, data);
  if (clash !== null) return lost(clash);
  forgetPeer(state, data.name);
  state.peers.set(data.name, data);
  take(state.taken, data.subnet, data.name);
  settle(state.endpoints, data.publicIp, peerHolder(data.name));
  if (data.vtepMac !== null) settle(state.endpoints, data.vtepMac, peerHolder(data.name));
  return accepted;
}

/** What this peer gets in the way of, in words, or null. */
export function peerClash(state: Readonly<FabricState>, data: ForeignPeer): string | null {
  for (const { subnet, peer } of inTheWay(state.taken, data.subnet)) {
    if (peer === data.name) continue;
    if (peer !== null) return `${data.subnet} overlaps peer ${peer}`;
    return `${data.subnet} overlaps ${subnet} of ${state.owners.get(subnet) ?? "a lease"}`;
  }
  for (const endpoint of [data.publicIp, data.vtepMac]) {
    const holder = endpoint === null ? undefined : holderAt(state.endpoints, endpoint);
    if (holder !== undefined && holder !== peerHolder(data.name)) {
      return `${endpoint} belongs to ${holder}`;
    }
  }
  return null;
}

function removePeer(state: FabricState, name: string): Verdict {
  forgetPeer(state, name);
  return state.peers.delete(name) ? accepted : lost(`no peer named ${name}`);
}

/** Its endpoints and its subnet are free from here on; its place in `peers` stays. */
function forgetPeer(state: FabricState, name: string): void {
  const peer = state.peers.get(name);
  if (peer === undefined) return;
  giveBack(state.taken, peer.subnet);
  vacate(state.endpoints, peer.publicIp);
  dropHeld(state, [peer.subnet]);
  if (peer.vtepMac !== null) vacate(state.endpoints, peer.vtepMac);
}

/** Peers and nodes have names of their own; "peer " keeps the two apart among endpoints. */
function peerHolder(name: string): string {
  return `peer ${name}`;
}

function reserve(state: FabricState, data: EventOf<"LeaseReserved">["data"]): Verdict {
  const pools = [state.config?.ipv4 ?? null, state.config?.ipv6 ?? null];
  if (!pools.some((pool) => pool !== null && inPool(pool, data.subnet))) {
    return against(`${data.subnet} is not in the pool`);
  }
  const owner = state.owners.get(data.subnet);
  if (owner !== undefined && owner !== data.node) return lost(`${data.subnet} belongs to ${owner}`);
  state.reservations.set(data.subnet, data);
  return accepted;
}

/**
 * Takes a subnet back: ends the lease and the membership of its holder, and a reservation of it. A
 * living holder joins again at once and claims another subnet; a dead one no longer blocks its
 * underlay address.
 */
function revoke(state: FabricState, subnet: string): Verdict {
  const reserved = state.reservations.delete(subnet);
  const owner = state.owners.get(subnet);
  if (owner === undefined) return reserved ? accepted : lost(`${subnet} is not leased`);
  const lease = state.leases.get(owner);
  const node = state.nodes.get(owner);
  if (lease !== undefined && node !== undefined) {
    node.revoked = lease.subnets;
    node.previous = [];
  }
  dropLease(state, owner);
  if (node !== undefined) withdraw(state, node);
  return accepted;
}
