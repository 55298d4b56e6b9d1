// The types of everything that can happen to the network, without the schemas they come from
// (event-schema.ts), and their current versions.

import type { z } from "zod";
import type { BackendType, DriftItem, EventData, Member } from "./event-schema.ts";

export type { BackendType, DriftItem, Member };
export type EventType = keyof EventData;

/** An event without its id: what `decide` returns. */
export type Draft = {
  [T in EventType]: { readonly type: T; readonly data: z.output<EventData[T]> };
}[EventType];

/** On whose behalf an event was written, as its writer says. It decides nothing. */
export interface Author {
  /** Name of the token. */
  readonly token: string;
  /** Fingerprint of the request, when that came with an Idempotency-Key. */
  readonly request?: string;
}

/** A decoded event of the current version of its type. */
export type Event = Draft & { readonly v: number; readonly id: string; readonly by?: Author };

export type EventOf<T extends EventType> = Extract<Event, { type: T }>;

/** Current version by type; raise it together with an upcaster in upcast.ts. */
export const eventVersion: { readonly [T in EventType]: number } = {
  FabricConfigured: 1,
  PeerAdded: 1,
  PeerRemoved: 1,
  LeaseReserved: 1,
  LeaseRevoked: 1,
  TokenCreated: 1,
  TokenRevoked: 1,
  WebhookAdded: 1,
  WebhookRemoved: 1,
  NodeJoined: 1,
  NodeUpdated: 1,
  NodeLeft: 1,
  LeaseClaimed: 1,
  LeaseRenewed: 1,
  LeaseReleased: 1,
  LeaseExpired: 1,
  NeighborMissed: 1,
  NeighborAged: 1,
  DriftHealed: 1,
  HostDegraded: 1,
  HostRecovered: 1,
  HostFrozen: 1,
};

export const eventTypes = Object.keys(eventVersion) as readonly EventType[];
