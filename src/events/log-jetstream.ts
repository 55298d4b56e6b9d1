// The log on NATS JetStream: composes the connection, the streams, the reader and the appender into
// the EventLog port. Which facts about servers and client shaped it: see each sibling file.

import { type EventLog, LogError, type LogInfo, type Recorded } from "./log.ts";
import { append } from "./log-jetstream-append.ts";
import type { NatsOptions } from "./log-jetstream-options.ts";
import { PullReader, untilAborted } from "./log-jetstream-pull.ts";
import { createStreams, type FabricStreams, fabricStreams } from "./log-jetstream-stream.ts";
import { NatsLink } from "./nats-connect.ts";
import type { StatusBoard } from "./status-board.ts";
import { statusBoard } from "./status-jetstream.ts";

export interface LogOptions extends NatsOptions {
  readonly fabric: string;
}

export interface LogConnection {
  readonly log: EventLog;
  readonly status: StatusBoard;
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
    log: {
      info: () => info(link, names),
      get: (seq) => get(link, names, seq),
      read: (from, signal) => read(link, names, from, signal),
      append: (message) => append(link, names, message),
    },
    status: statusBoard(link, names, options.fabric),
    createStream: (replicas) => createStreams(link, names, replicas),
    connected: () => link.connected(),
    serverVersion: () => link.version(),
    redial: () => link.redial(),
    close: () => link.close(),
  };
}

async function info(link: NatsLink, names: FabricStreams): Promise<LogInfo> {
  const { created, state } = await link.ask(({ jsm }) => jsm.streams.info(names.log));
  return {
    created,
    // An empty stream reports 0; its first message will be 1.
    firstSeq: Math.max(1, state.first_seq),
    lastSeq: state.last_seq,
    server: link.version() ?? "",
  };
}

/** Asks the leader, not a mirror or follower: a direct get may miss what was just acknowledged. */
async function get(link: NatsLink, names: FabricStreams, seq: number): Promise<Recorded | null> {
  if (seq < 1) return null;
  const found = await link.ask(({ jsm }) => jsm.streams.getMessage(names.log, { seq }));
  if (found === null) return null;
  return {
    seq: found.seq,
    timeMs: found.time.getTime(),
    subject: found.subject,
    payload: found.data,
  };
}

async function* read(
  link: NatsLink,
  names: FabricStreams,
  from: number,
  signal: AbortSignal,
): AsyncIterable<readonly Recorded[]> {
  const reader = await untilAborted(signal, () => openAt(link, names, from));
  if (reader === null) return;
  try {
    for (;;) {
      const batch = await reader.next(signal);
      if (batch === null) return;
      yield batch;
    }
  } finally {
    reader.close();
  }
}

async function openAt(link: NatsLink, names: FabricStreams, from: number): Promise<PullReader> {
  if (from < 1) throw new LogError("gap", `${names.log} begins at 1, after ${from}`);
  const reader = await PullReader.open(link, { stream: names.log, from, contiguous: true });
  try {
    await refuseOutside(link, names, from);
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
async function refuseOutside(link: NatsLink, names: FabricStreams, from: number): Promise<void> {
  const { firstSeq, lastSeq } = await info(link, names);
  if (from < firstSeq) {
    throw new LogError("gap", `${names.log} begins at ${firstSeq}, after ${from}`);
  }
  if (from > lastSeq + 1) {
    throw new LogError("gap", `${names.log} ends at ${lastSeq}, before ${from - 1}`);
  }
}
