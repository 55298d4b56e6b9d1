// Events into signed parcels, and parcels to where a webhook points. It keeps nothing.

import type { Cidr } from "../events/address.ts";
import type { Webhook } from "../events/webhook.ts";
import { CLOUD_EVENT_TYPE, type CloudEvent } from "../events/webhook-cloud-event.ts";
import type { WebhookQueue } from "../events/webhook-queue.ts";
import type { Follower } from "./follower.ts";
import { fabricNetworks } from "./webhook-address.ts";
import { type Attempt, deliver, type Resolve } from "./webhook-delivery.ts";
import { secretOf, signed, type WebhookKey } from "./webhook-key.ts";

/** What the caller has for webhooks. */
export interface WebhookWorld {
  readonly queue: WebhookQueue;
  /** Newest first. With none this server delivers nothing and adds no webhook. */
  readonly keys: readonly WebhookKey[];
  /** Reached in spite of what they are: --webhook-allow. */
  readonly allow: readonly Cidr[];
  /** How to find the addresses of a host; by default the system's resolver. */
  readonly resolve?: Resolve;
  /** After the first attempt, the second, …; by default three days of them. */
  readonly pausesMs?: readonly number[];
  readonly timeoutMs?: number;
}

export interface Sender {
  send(webhook: Webhook, event: CloudEvent, signal: AbortSignal): Promise<Attempt>;
  /** The newest secret, for the receiver; null when this server has no key. */
  secret(webhook: Webhook): string | null;
}

export function createSender(deps: {
  readonly fabric: string;
  readonly version: string;
  readonly wallMs: () => number;
  readonly follower: Follower;
  readonly webhooks: WebhookWorld;
}): Sender {
  const { fabric, version, wallMs, follower, webhooks } = deps;
  const { keys, allow, resolve, timeoutMs } = webhooks;
  const secretsOf = (webhook: Webhook) => keys.map((key) => secretOf(key, fabric, webhook));
  return {
    secret: (webhook) => secretsOf(webhook)[0] ?? null,
    send: (webhook, event, signal) => {
      const body = JSON.stringify(event);
      // The same for every attempt at one event, so that a receiver can drop what it had.
      const id = `heddle_${fabric}_${event.id}`;
      const parcel = {
        url: webhook.url,
        body,
        headers: {
          "content-type": CLOUD_EVENT_TYPE,
          "user-agent": `heddle/${version}`,
          ...signed(secretsOf(webhook), id, wallMs(), body),
        },
      };
      return deliver(parcel, {
        policy: { allow, own: fabricNetworks(follower.state()) },
        ...(resolve === undefined ? {} : { resolve }),
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
        signal,
      });
    },
  };
}
