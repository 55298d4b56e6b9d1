// The webhook queue on JetStream: per webhook one durable pull consumer on the log, with one
// message out at a time, and a stream of notes that keeps one message per subject.
//
// The pull protocol is spoken here: the client's consumers stall after a restart of the server (see
// log-jetstream-pull.ts), and all that is wanted is one message per request.

import {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  ReplayPolicy,
} from "@nats-io/jetstream";
import type { Msg } from "@nats-io/nats-core";
import { LogError } from "./log.ts";
import { createWebhookNotes, type FabricStreams } from "./log-jetstream-stream.ts";
import type { NatsLink } from "./nats-connect.ts";
import { webhookNotes } from "./nats-webhook-notes.ts";
import { type CursorView, PROGRESS_MS, type Queued, type WebhookQueue } from "./webhook-queue.ts";

const CONSUMER_PREFIX = "hook_";
/** A holder that died is replaced after this. */
const ACK_WAIT_MS = 4 * PROGRESS_MS;
const EXPIRES_MS = 10_000;
const NANOS_PER_MS = 1e6;

const PULL = new TextEncoder().encode(
  JSON.stringify({ batch: 1, expires: EXPIRES_MS * NANOS_PER_MS }),
);

const STATUS_NO_MESSAGES = 404;
const STATUS_PULL_ENDED = 408;

export function natsWebhookQueue(link: NatsLink, names: FabricStreams): WebhookQueue {
  const notes = webhookNotes(link, names);
  return {
    ...notes,
    open: (id, from) => open(link, names, id, from),
    next: (id, signal) => next(link, names.log, id, signal),
    view: (id) => view(link, names.log, id),
    ids: () => ids(link, names.log),
    remove: async (id) => {
      await ifThere(() => link.ask(({ jsm }) => jsm.consumers.delete(names.log, nameOf(id))));
      await notes.forget(id);
    },
  };
}

function nameOf(id: string): string {
  return CONSUMER_PREFIX + id;
}

async function open(link: NatsLink, names: FabricStreams, id: string, from: number): Promise<void> {
  await createWebhookNotes(link, names);
  if ((await view(link, names.log, id)) !== null) return;
  const config: Partial<ConsumerConfig> = {
    durable_name: nameOf(id),
    ack_policy: AckPolicy.Explicit,
    ack_wait: ACK_WAIT_MS * NANOS_PER_MS,
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: from,
    replay_policy: ReplayPolicy.Instant,
    max_ack_pending: 1,
    max_deliver: -1,
  };
  await link.ask(({ jsm }) => jsm.consumers.add(names.log, config));
}

async function view(link: NatsLink, log: string, id: string): Promise<CursorView | null> {
  const info = await ifThere(() => link.ask(({ jsm }) => jsm.consumers.info(log, nameOf(id))));
  if (info === null) return null;
  const { ack_floor, num_pending, num_ack_pending, config } = info;
  // Before the first acknowledgement the floor is 0, wherever it starts.
  const seq = Math.max(ack_floor.stream_seq, (config.opt_start_seq ?? 1) - 1);
  return { seq, behind: num_pending + num_ack_pending };
}

async function ids(link: NatsLink, log: string): Promise<readonly string[]> {
  const found: string[] = [];
  await link.ask(async ({ jsm }) => {
    for await (const info of jsm.consumers.list(log)) {
      // A consumer that goes while the list is made is null in it (2.9.10).
      const { name = "" } = (info as { readonly name: string } | null) ?? {};
      if (name.startsWith(CONSUMER_PREFIX)) found.push(name.slice(CONSUMER_PREFIX.length));
    }
  });
  return found;
}

/** Null when the server says that there is no such consumer or stream. */
async function ifThere<T>(ask: () => Promise<T>): Promise<T | null> {
  try {
    return await ask();
  } catch (error) {
    const cause = error instanceof LogError ? error.cause : null;
    const code = cause instanceof JetStreamApiError ? cause.code : null;
    if (code === JetStreamApiCodes.ConsumerNotFound) return null;
    if (code === JetStreamApiCodes.StreamNotFound) return null;
    throw error;
  }
}

async function next(
  link: NatsLink,
  log: string,
  id: string,
  signal: AbortSignal,
): Promise<Queued | null> {
  if (signal.aborted) return null;
  const subject = `$JS.API.CONSUMER.MSG.NEXT.${log}.${nameOf(id)}`;
  const timeout = EXPIRES_MS + link.timeoutMs;
  // A message arrives under the subject it was stored with, by which the shared inbox of requests
  // would not know it: so an inbox of its own.
  const inbox = { noMux: true, timeout };
  const pulled = link.ask(({ nc }) => nc.request(subject, PULL, inbox));
  const aborted = Promise.withResolvers<null>();
  const abort = () => aborted.resolve(null);
  signal.addEventListener("abort", abort);
  try {
    const message = await Promise.race([pulled, aborted.promise]);
    if (message !== null) return read(link, log, message);
    // Whoever comes next should not have to wait until this one counts as lost.
    void pulled.then((late) => read(link, log, late)?.again(0)).catch(() => undefined);
    return null;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function read(link: NatsLink, log: string, message: Msg): Queued | null {
  const reply = message.reply ?? "";
  if (!reply.startsWith("$JS.ACK.")) {
    const code = message.headers?.code ?? 0;
    if (code === STATUS_PULL_ENDED || code === STATUS_NO_MESSAGES) return null;
    const text = message.headers?.description || "no responders";
    throw new LogError("unreachable", `${log}: ${code} ${text}`);
  }
  // $JS.ACK.[<domain>.<account hash>.]<stream>.<consumer>.<deliveries>.<stream seq>.…, and from a
  // domain one more token at the end; neither stream nor consumer has dots.
  const tokens = reply.split(".");
  const at = tokens.indexOf(log);
  const [attempt, seq] = tokens.slice(at + 2).map(Number);
  if (at < 0 || seq === undefined || attempt === undefined) {
    throw new LogError("unsupported", `${log}: an acknowledgement of another form: ${reply}`);
  }
  const answer = async (word: string): Promise<void> => {
    // With a reply asked for, so that it is known to have arrived.
    await link.ask(({ nc }) => nc.request(reply, word, { timeout: link.timeoutMs }));
  };
  return {
    ...{ seq, attempt },
    progress: () => {
      if (link.connected()) link.session().nc.publish(reply, "+WPI");
    },
    done: () => answer("+ACK"),
    again: (delayMs) => answer(`-NAK {"delay":${Math.round(delayMs) * NANOS_PER_MS}}`),
  };
}
