// What is kept about webhooks beside their cursors: why one stands still, and its dead letters.
// Subjects are `heddle-webhook.<fabric>.<id>.failing` and `….<id>.dead.<seq>`, one message each.

import { JetStreamApiCodes, JetStreamApiError } from "@nats-io/jetstream";
import type { z } from "zod";
import { messageSchemas } from "./late.ts";
import { LogError } from "./log.ts";
import type { FabricStreams } from "./log-jetstream-stream.ts";
import type { NatsLink } from "./nats-connect.ts";
import type { DeadLetter, Failing, WebhookQueue } from "./webhook-queue.ts";

type Notes = Pick<
  WebhookQueue,
  "failing" | "noteFailing" | "bury" | "dead" | "letter" | "unbury"
> & {
  /** All of one webhook. */
  forget(id: string): Promise<void>;
};

export function webhookNotes(link: NatsLink, names: FabricStreams): Notes {
  const { webhooks: stream, webhookPrefix: prefix } = names;
  const failingOf = (id: string): string => `${prefix}${id}.failing`;
  const deadOf = (id: string, seq: number): string => `${prefix}${id}.dead.${seq}`;

  async function read<T>(subject: string, schema: z.ZodType<T>): Promise<T | null> {
    const found = await ifStream(() =>
      link.ask(({ jsm }) => jsm.streams.getMessage(stream, { last_by_subj: subject })),
    );
    if (found === null) return null;
    const parsed = schema.safeParse(jsonOf(found.data));
    // Written by nobody of ours: as good as not there.
    return parsed.success ? parsed.data : null;
  }

  async function write(subject: string, note: object): Promise<void> {
    await link.ask(({ js }) => js.publish(subject, JSON.stringify(note)));
  }

  async function clear(filter: string): Promise<void> {
    await ifStream(() => link.ask(({ jsm }) => jsm.streams.purge(stream, { filter })));
  }

  return {
    failing: (id) => read<Failing>(failingOf(id), messageSchemas().failing),
    noteFailing: (id, failing) =>
      failing === null ? clear(failingOf(id)) : write(failingOf(id), failing),
    bury: (id, letter) => write(deadOf(id, letter.seq), letter),
    letter: (id, seq) => read<DeadLetter>(deadOf(id, seq), messageSchemas().deadLetter),
    unbury: (id, seq) => clear(deadOf(id, seq)),
    forget: (id) => clear(`${prefix}${id}.>`),
    dead: async (id) => {
      const filter = { subjects_filter: `${prefix}${id}.dead.*` };
      const info = await ifStream(() => link.ask(({ jsm }) => jsm.streams.info(stream, filter)));
      const subjects = Object.keys(info?.state.subjects ?? {});
      return subjects.map((each) => Number(each.split(".").at(-1))).sort((a, b) => a - b);
    },
  };
}

/** Null when there is no stream of notes yet: no webhook was served. */
async function ifStream<T>(ask: () => Promise<T>): Promise<T | null> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof LogError)) throw error;
    const { cause } = error;
    if (!(cause instanceof JetStreamApiError)) throw error;
    if (cause.code === JetStreamApiCodes.StreamNotFound) return null;
    throw error;
  }
}

function jsonOf(data: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(data));
  } catch {
    return null; // The schema says that it is no note.
  }
}
