// What the inquiries share: hearing one subject of plain NATS for as long as the process wants to,
// through lost connections and servers.

import type { Msg, NatsConnection } from "@nats-io/nats-core";
import { LogError } from "./log.ts";
import type { NatsLink } from "./nats-connect.ts";

const REDIAL_MS = 1000;

export async function listenTo(
  link: NatsLink,
  subject: string,
  onMessage: (message: Msg) => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await link.untilUp(REDIAL_MS);
    const nc = sessionOf(link);
    if (nc !== null) await listenOn(nc, subject, onMessage, signal);
    else if (!link.connected()) await either(signal, Bun.sleep(REDIAL_MS));
  }
}

/** Null for what is no JSON: nobody of ours sent it, and a schema refuses it. */
export function readJson(message: Msg): unknown {
  try {
    return message.json();
  } catch {
    return null;
  }
}

/** Until this connection is closed for good: the client itself subscribes again after a break. */
async function listenOn(
  nc: NatsConnection,
  subject: string,
  onMessage: (message: Msg) => void,
  signal: AbortSignal,
): Promise<void> {
  const subscription = nc.subscribe(subject, {
    callback: (error, message) => {
      // Without the permission to listen the asker has to do without.
      if (error === null) onMessage(message);
    },
  });
  await either(signal, nc.closed());
  if (!nc.isClosed()) subscription.unsubscribe();
}

function sessionOf(link: NatsLink): NatsConnection | null {
  try {
    return link.session().nc;
  } catch (error) {
    if (error instanceof LogError) return null;
    throw error;
  }
}

/** Resolves when `signal` aborts or `other` resolves; nothing of it stays on the signal. */
function either(signal: AbortSignal, other: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      signal.removeEventListener("abort", done);
      resolve();
    };
    signal.addEventListener("abort", done);
    void other.then(done);
    if (signal.aborted) done();
  });
}
