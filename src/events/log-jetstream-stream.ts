// The streams of one fabric: their configuration, making them, and refusing one that cannot be a
// log.
//
// Invariant: nothing in a log's stream is ever removed, by age, by limits or by an administrator; a
// removed lease would look like a free subnet.

import {
  DiscardPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from "@nats-io/jetstream";
import { LogError } from "./log.ts";
import { checkpointSubject, streamName } from "./name.ts";
import type { NatsLink } from "./nats-connect.ts";
import { refuseUnsafeReplicas } from "./nats-version.ts";
import { BOARD_AGE_MS } from "./status-board.ts";

export interface FabricStreams {
  readonly log: string;
  readonly logSubjects: string;
  readonly status: string;
  readonly statusSubjects: string;
  readonly checkpoints: string;
  readonly checkpointSubject: string;
  readonly webhooks: string;
  /** Precedes `<id>.failing` and `<id>.dead.<seq>`. */
  readonly webhookPrefix: string;
}

const NANOS_PER_MS = 1e6;
const DUPLICATE_WINDOW_MS = 120_000;
const WEBHOOK_BYTES_MAX = 64 << 20;
const WEBHOOK_AGE_MS = 30 * 24 * 3_600_000;

/** The other subjects are outside `heddle.>`, which belongs to the log. */
export function fabricStreams(fabric: string): FabricStreams {
  return {
    log: streamName(fabric),
    logSubjects: `heddle.${fabric}.>`,
    status: `${streamName(fabric)}_STATUS`,
    statusSubjects: `heddle-status.${fabric}.*`,
    checkpoints: `${streamName(fabric)}_CHECKPOINTS`,
    checkpointSubject: checkpointSubject(fabric),
    webhooks: `${streamName(fabric)}_WEBHOOKS`,
    webhookPrefix: `heddle-webhook.${fabric}.`,
  };
}

/** Makes both streams, or accepts those that are there. Throws LogError. */
export async function createStreams(
  link: NatsLink,
  names: FabricStreams,
  replicas: number,
): Promise<void> {
  refuseUnsafeReplicas(link.session().version, replicas);
  await ensure(link, logConfig(names.log, names.logSubjects, replicas), logFaults);
  await ensure(link, statusConfig(names, replicas), statusFaults);
}

/** Throws LogError: `missing` when there is no log whose checkpoints these would be. */
export async function createCheckpoints(link: NatsLink, names: FabricStreams): Promise<void> {
  const { config } = await link.ask(({ jsm }) => jsm.streams.info(names.log));
  const { checkpoints, checkpointSubject: subject } = names;
  await ensure(link, logConfig(checkpoints, subject, config.num_replicas), logFaults);
}

/** Throws LogError: `missing` when there is no log whose webhooks these would be. */
export async function createWebhookNotes(link: NatsLink, names: FabricStreams): Promise<void> {
  const { config } = await link.ask(({ jsm }) => jsm.streams.info(names.log));
  await ensure(link, webhookConfig(names, config.num_replicas), statusFaults);
}

function logConfig(name: string, subjects: string, replicas: number): Wanted {
  return {
    name,
    subjects: [subjects],
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.Old,
    num_replicas: replicas,
    duplicate_window: DUPLICATE_WINDOW_MS * NANOS_PER_MS,
    max_age: 0,
    deny_delete: true,
    deny_purge: true,
    allow_direct: true,
  };
}

function statusConfig(names: FabricStreams, replicas: number): Wanted {
  return {
    name: names.status,
    subjects: [names.statusSubjects],
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.Old,
    num_replicas: replicas,
    max_msgs_per_subject: 1,
    max_age: BOARD_AGE_MS * NANOS_PER_MS,
  };
}

/** Dead letters are copies of what the log keeps: what is not looked at in a month may go. */
function webhookConfig(names: FabricStreams, replicas: number): Wanted {
  return {
    name: names.webhooks,
    subjects: [`${names.webhookPrefix}>`],
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.Old,
    num_replicas: replicas,
    max_msgs_per_subject: 1,
    max_bytes: WEBHOOK_BYTES_MAX,
    max_age: WEBHOOK_AGE_MS * NANOS_PER_MS,
  };
}

type Wanted = Partial<StreamConfig> & { name: string; subjects: string[] };
type Faults = (wanted: Wanted, found: StreamConfig) => string[];

async function ensure(link: NatsLink, wanted: Wanted, faults: Faults): Promise<void> {
  const found = (await configOf(link, wanted.name)) ?? (await add(link, wanted));
  // A server drops the fields it does not know without a word; so the answer is compared.
  const wrong = faults(wanted, found);
  if (wrong.length > 0) {
    throw new LogError("unsupported", `stream ${wanted.name} is unfit: ${wrong.join(", ")}`);
  }
}

async function configOf(link: NatsLink, name: string): Promise<StreamConfig | null> {
  try {
    return (await link.ask(({ jsm }) => jsm.streams.info(name))).config;
  } catch (error) {
    if (error instanceof LogError && error.kind === "missing") return null;
    throw error;
  }
}

async function add(link: NatsLink, wanted: Wanted): Promise<StreamConfig> {
  try {
    return (await link.ask(({ jsm }) => jsm.streams.add(wanted))).config;
  } catch (error) {
    const cause = error instanceof LogError ? error.cause : null;
    if (!(cause instanceof JetStreamApiError)) throw error;
    // Not 10059: here 503 and the like mean that the cluster cannot place the stream.
    const kind = cause.code === JetStreamApiCodes.StreamNotFound ? "unreachable" : "unsupported";
    throw new LogError(kind, `cannot make stream ${wanted.name}: ${cause.message}`, { cause });
  }
}

function logFaults(wanted: Wanted, found: StreamConfig): string[] {
  const wrong = commonFaults(wanted, found);
  if (!found.deny_delete) wrong.push("deny_delete is off");
  if (!found.deny_purge) wrong.push("deny_purge is off");
  if (found.max_age > 0) wrong.push("it has an age limit");
  if (found.max_msgs > 0) wrong.push("it has a message limit");
  if (found.max_bytes > 0) wrong.push("it has a size limit");
  if (found.max_msgs_per_subject > 0) wrong.push("it has a limit per subject");
  if (found.duplicate_window !== wanted.duplicate_window) {
    wrong.push("its duplicate window is not 2 minutes");
  }
  return wrong;
}

function statusFaults(wanted: Wanted, found: StreamConfig): string[] {
  const wrong = commonFaults(wanted, found);
  if (found.max_msgs_per_subject !== 1) wrong.push("it keeps more than one message per subject");
  return wrong;
}

function commonFaults(wanted: Wanted, found: StreamConfig): string[] {
  const wrong: string[] = [];
  if (found.subjects.join(" ") !== wanted.subjects.join(" ")) {
    wrong.push(`its subjects are ${found.subjects.join(" ")}, not ${wanted.subjects.join(" ")}`);
  }
  if (found.storage !== StorageType.File) wrong.push("it is not stored in files");
  if (found.retention !== RetentionPolicy.Limits) wrong.push(`its retention is ${found.retention}`);
  return wrong;
}
