// The log on NATS JetStream: composes the connection, the streams, the reader and the appender into
// the EventLog port. Which facts about servers and client shaped it: see each sibling file.

import type { FoundInquiry, Inquiry } from "./inquiry.ts";
import { type EventLog, LogError, type LogInfo, type Reading, type Recorded } from "./log.ts";
import { append } from "./log-jetstream-append.ts";
import type { NatsOptions } from "./log-jetstream-options.ts";
import { PullReader, untilAborted } from "./log-jetstream-pull.ts";
import { createCheckpoints, createStreams, fabricStreams } from "./log-jetstream-stream.ts";
import { NatsLink } from "./nats-connect.ts";
import { natsFoundInquiry } from "./nats-found-inquiry.ts";
import { natsInquiry } from "./nats-inquiry.ts";
import { natsWebhookQueue } from "./nats-webhook-queue.ts";
import type { StatusBoard } from "./status-board.ts";
import { statusBoard } from "./status-jetstream.ts";
import type { WebhookQueue } from "./webhook-queue.ts";

export interface LogOptions extends NatsOptions {
  readonly fabric: string;
}

export interface LogConnection {
  readonly log: EventLog;
  readonly status: StatusBoard;
  readonly inquiry: Inquiry;
  readonly foundInquiry: FoundInquiry;
  /** The stream of signed checkpoints of the log, on the one subject `checkpointSubject`. */
  readonly checkpoints: EventLog;
  /** Makes the stream of checkpoints, or accepts the one there is. Throws LogError. */
  createCheckpoints(): Promise<void>;
  readonly webhooks: WebhookQueue;
  /** Makes the fabric's streams, or accepts equal ones that exist. Throws LogError. */
  createStream(replicas: number): Promise<void>;
  connected(): boolean;
  /** Of the last server that answered; null before the first. */
  serverVersion(): string | null;
  /** Connects anew, because an address of this host is gone that the connection may come from. */
  redial(): void;
  close(): Promise<void>;
}

/**
 * Fails with LogError `unreachable` or `refused` when no server can be used; with `keepTrying` it
 * returns after the first attempt or 250 ms, and every call throws that error until a server
 * answers.
 */
export async function connectLog(options: LogOptions): Promise<LogConnection> {
  const names = fabricStreams(options.fabric);
  const link = new NatsLink(options);
  await link.start();
  return {
    log: eventLog(link, names.log),
    checkpoints: eventLog(link, names.checkpoints),
    createCheckpoints: () => createCheckpoints(link, names),
    status: statusBoard(link, names, options.fabric),
    inquiry: natsInquiry(link, options.fabric),
    webhooks: natsWebhookQueue(link, names),
    foundInquiry: natsFoundInquiry(link, options.fabric),
    createStream: (replicas) => createStreams(link, names, replicas),
    connected: () => link.connected(),
    serverVersion: () => link.version(),
    redial: () => link.redial(),
    close: () => link.close(),
  };
}

function eventLog(link: NatsLink, stream: string): EventLog {
  return {
    info: () => info(link, stream),
    get: (seq) => get(link, stream, seq),
    read: (from, signal, reading) => read(link, stream, { from, ...reading }, signal),
    append: (message) => append(link, stream, message),
  };
}

async function info(link: NatsLink, stream: string): Promise<LogInfo> {
  const { created, state } = await link.ask(({ jsm }) => jsm.streams.info(stream));
  return {
    created,
    // An empty stream reports 0; its first message will be 1.
    firstSeq: Math.max(1, state.first_seq),
    lastSeq: state.last_seq,
    server: link.version() ?? "",
  };
}

/** Asks the leader, not a mirror or follower: a direct get may miss what was just acknowledged. */
async function get(link: NatsLink, stream: string, seq: number): Promise<Recorded | null> {
  if (seq < 1) return null;
  const found = await link.ask(({ jsm }) => jsm.streams.getMessage(stream, { seq }));
  if (found === null) return null;
  return {
    seq: found.seq,
    timeMs: found.time.getTime(),
    subject: found.subject,
    payload: found.data,
  };
}

interface Place extends Reading {
  readonly from: number;
}

async function* read(
  link: NatsLink,
  stream: string,
  place: Place,
  signal: AbortSignal,
): AsyncIterable<readonly Recorded[]> {
  const { from, last } = place;
  if (last !== undefined && last < from) return;
  const reader = await untilAborted(signal, () => openAt(link, stream, place));
  if (reader === null) return;
  try {
    for (;;) {
      const batch = await reader.next(signal);
      if (batch === null) return;
      yield batch;
      if (last !== undefined && (batch.at(-1)?.seq ?? 0) >= last) return;
    }
  } finally {
    reader.close();
  }
}

async function openAt(link: NatsLink, stream: string, place: Place): Promise<PullReader> {
  const { from, last } = place;
  if (from < 1) throw new LogError("gap", `${stream} begins at 1, after ${from}`);
  const limit = last === undefined ? null : last - from + 1;
  const reader = await PullReader.open(link, { stream, from, limit, contiguous: true });
  try {
    await refuseOutside(link, stream, place);
    return reader;
  } catch (error) {
    reader.close();
    throw error;
  }
}

/**
 * The server starts at first_seq when `from` is below it, and waits when it is beyond the end: the
 * one is a hole, the other a log that lost its tail or was made again. Asked after the consumer
 * exists, so that a stream made again in between cannot pass for the one that was asked about.
 */
async function refuseOutside(
  link: NatsLink,
  stream: string,
  { from, created: meant }: Place,
): Promise<void> {
  const { created, firstSeq, lastSeq } = await info(link, stream);
  if (meant !== undefined && created !== meant) {
    throw new LogError("unreachable", `${stream} was made again at ${created}`);
  }
  if (from < firstSeq) {
    throw new LogError("gap", `${stream} begins at ${firstSeq}, after ${from}`);
  }
  if (from > lastSeq + 1) {
    throw new LogError("gap", `${stream} ends at ${lastSeq}, before ${from - 1}`);
  }
}
