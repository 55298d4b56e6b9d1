// What an administrator could do to a stream behind Heddle's back, through the NATS client alone.

import { type JetStreamManager, jetstreamManager, type StreamConfig } from "@nats-io/jetstream";
import { connect, nkeys } from "@nats-io/transport-node";

const NANOS_PER_MS = 1e6;

export function makeStream(
  url: string,
  config: Partial<StreamConfig> & { name: string },
): Promise<void> {
  return administer(url, async (jsm) => {
    await jsm.streams.add({ duplicate_window: 120_000_000_000, ...config });
  });
}

export function deleteStream(url: string, name: string): Promise<void> {
  return administer(url, async (jsm) => {
    await jsm.streams.delete(name);
  });
}

/** How long the stream keeps a message, in ms; 0 is for ever. */
export async function maxAgeOf(url: string, name: string): Promise<number> {
  let ageMs = 0;
  await administer(url, async (jsm) => {
    ageMs = (await jsm.streams.info(name)).config.max_age / NANOS_PER_MS;
  });
  return ageMs;
}

export function deleteMessage(url: string, stream: string, seq: number): Promise<void> {
  return administer(url, async (jsm) => {
    await jsm.streams.deleteMessage(stream, seq);
  });
}

/** Sets how long a consumer's message may be out unacknowledged; returns what it was, in ms. */
export async function setAckWait(
  url: string,
  { stream, consumer }: { readonly stream: string; readonly consumer: string },
  ackWaitMs: number,
): Promise<number> {
  let was = 0;
  await administer(url, async (jsm) => {
    was = ((await jsm.consumers.info(stream, consumer)).config.ack_wait ?? 0) / NANOS_PER_MS;
    await jsm.consumers.update(stream, consumer, { ack_wait: ackWaitMs * NANOS_PER_MS });
  });
  return was;
}

/** The cluster member that leads a stream; throws while there is none. */
export async function streamLeader(url: string, name: string): Promise<string> {
  let leader = "";
  await administer(url, async (jsm) => {
    leader = (await jsm.streams.info(name)).cluster?.leader ?? "";
  });
  if (leader === "") throw new Error(`${name} has no leader`);
  return leader;
}

async function administer(
  url: string,
  work: (jsm: JetStreamManager) => Promise<void>,
): Promise<void> {
  const nc = await connect({ servers: url });
  try {
    await work(await jetstreamManager(nc));
  } finally {
    await nc.close();
  }
}

/** A fresh user key: the public half for the server's configuration, the seed for the client. */
export function makeNkey(): { readonly publicKey: string; readonly seed: string } {
  const user = nkeys.createUser();
  return { publicKey: user.getPublicKey(), seed: new TextDecoder().decode(user.getSeed()) };
}
