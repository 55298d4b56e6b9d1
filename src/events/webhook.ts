// A webhook as the log knows it: where to tell what. Its secret is not in the log, and how far it
// has come is the queue's matter (webhook-queue.ts).

import type { Draft } from "./event.ts";
import { nameToken } from "./name.ts";

export interface WebhookTarget {
  readonly name: string;
  readonly url: string;
  /** Types of events; empty for all. */
  readonly types: readonly string[];
  /** Nodes that the events are about; empty for all, and for those about none. */
  readonly nodes: readonly string[];
}

export interface Webhook extends WebhookTarget {
  /** Place of its WebhookAdded; it hears of everything after. */
  readonly addedSeq: number;
}

/** Each has a consumer in JetStream and a request waiting there. */
export const WEBHOOKS_MAX = 100;

const URL_CHARS_MAX = 2048;

/**
 * By form alone, and not by the URL parser of the day: every program must say the same of a record
 * for ever. No credentials, since the log is no place for them.
 */
export function isWebhookUrl(text: string): boolean {
  return text.length <= URL_CHARS_MAX && /^https?:\/\/[^\s/?#@\\]+(?:[/?][!"$-~]*)?$/.test(text);
}

/** Names a webhook in NATS; another one of the same name has another. */
export function webhookId({ name, addedSeq }: Webhook): string {
  return `${nameToken(name)}-${addedSeq}`;
}

/** The sequence in an id that `webhookId` made, or null. */
export function addedSeqOf(id: string): number | null {
  const found = /^[A-Za-z0-9_-]+-(\d{1,15})$/.exec(id)?.[1];
  return found === undefined ? null : Number(found);
}

/** The node that an event is about first, then others that it names. */
export function nodesOf(event: Draft): readonly string[] {
  const data = event.data as { readonly node?: string | null; readonly owner?: string };
  return [data.owner, data.node].filter((node) => typeof node === "string");
}

export function wants(webhook: WebhookTarget, event: Draft): boolean {
  const { types, nodes } = webhook;
  if (types.length > 0 && !types.includes(event.type)) return false;
  return nodes.length === 0 || nodesOf(event).some((node) => nodes.includes(node));
}
