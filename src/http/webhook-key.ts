// What deliveries are signed with. The server has keys; the secret of each webhook is derived from
// a key, the fabric and the webhook's place in the log, so that no secret is stored anywhere and
// every server with the same key signs alike.
//
// Keys are changed by putting the new one before the old one: deliveries then carry a signature by
// each, and a receiver may check with either (Standard Webhooks).

import { hkdfSync } from "node:crypto";
import { Webhook as Signer } from "standardwebhooks";
import { fromBase64 } from "../events/checkpoint.ts";
import type { Webhook } from "../events/webhook.ts";
import { readSecretFile } from "./secret-file.ts";

/** Secret bytes of a key, at least 32. */
export type WebhookKey = Uint8Array;

export type WebhookKeyFile =
  | { readonly ok: true; readonly key: WebhookKey }
  | { readonly ok: false; readonly reason: string };

const KEY_BYTES_MIN = 32;
const SECRET_BYTES = 32;

export async function readWebhookKeyFile(path: string): Promise<WebhookKeyFile> {
  const file = await readSecretFile(path);
  if (!file.ok) return file;
  const key = fromBase64(file.text.replaceAll(/\s/g, ""));
  if (key !== null && key.length >= KEY_BYTES_MIN) return { ok: true, key };
  const advice = `expected ${KEY_BYTES_MIN} random bytes or more in base64`;
  return { ok: false, reason: `${advice}, as of: head -c 32 /dev/urandom | base64` };
}

/** `whsec_…`, what a receiver checks signatures with. */
export function secretOf(key: WebhookKey, fabric: string, webhook: Webhook): string {
  const info = `heddle webhook\n${fabric}\n${webhook.name}\n${webhook.addedSeq}`;
  const secret = hkdfSync("sha256", key, new Uint8Array(), info, SECRET_BYTES);
  return `whsec_${Buffer.from(secret).toString("base64")}`;
}

export interface Signed {
  readonly "webhook-id": string;
  readonly "webhook-timestamp": string;
  readonly "webhook-signature": string;
}

/** Headers of one attempt, with a signature by each secret. */
export function signed(
  secrets: readonly string[],
  id: string,
  timeMs: number,
  body: string,
): Signed {
  const seconds = Math.floor(timeMs / 1000);
  const at = new Date(seconds * 1000);
  const signatures = secrets.map((secret) => new Signer(secret).sign(id, at, body));
  return {
    "webhook-id": id,
    "webhook-timestamp": String(seconds),
    "webhook-signature": signatures.join(" "),
  };
}
