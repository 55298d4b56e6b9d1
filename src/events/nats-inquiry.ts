// Inquiries over plain NATS, outside the subjects of every stream: `heddle-ask.<fabric>.applied`
// carries questions, `heddle-answer.<fabric>.<node>.<id>` answers. The one who answers is in the
// subject, so that NATS permissions authenticate it; a reply inbox would let any host speak for
// any.

import type { Msg, NatsConnection } from "@nats-io/transport-node";
import { z } from "zod";
import type { AppliedAnswer, AppliedQuestion, Inquiry } from "./inquiry.ts";
import { LogError } from "./log.ts";
import { nameToken } from "./name.ts";
import type { NatsLink } from "./nats-connect.ts";

const REDIAL_MS = 1000;
/** An id is one token of a subject. */
const id = z.string().regex(/^[A-Za-z0-9-]{1,64}$/);
const seq = z.int().nonnegative();
const question = z.object({ id, seq, waitMs: z.number().min(0).max(3_600_000) });
const answer = z.object({ applied: seq, reason: z.string().max(1024).nullable() });

export function natsInquiry(link: NatsLink, fabric: string): Inquiry {
  const asked = `heddle-ask.${fabric}.applied`;
  const answered = `heddle-answer.${fabric}.`;
  return {
    ask: (what) => link.session().nc.publish(asked, JSON.stringify(what)),
    answer: (to, what) => {
      if (link.connected()) send(link.session().nc, answered, to, what);
    },
    answers: (to, onAnswer) => {
      const { nc } = link.session();
      const subscription = nc.subscribe(`${answered}*.${to}`, {
        callback: (error, message) => {
          const read = error === null ? readAnswer(message, answered) : null;
          if (read !== null) onAnswer(read);
        },
      });
      return () => {
        if (!nc.isClosed()) subscription.unsubscribe();
      };
    },
    listen: async (onQuestion, signal) => {
      while (!signal.aborted) {
        await link.untilUp(REDIAL_MS);
        const nc = sessionOf(link);
        if (nc !== null) await listenOn(nc, asked, onQuestion, signal);
        else if (!link.connected()) await aborted(signal, REDIAL_MS);
      }
    },
  };
}

function send(nc: NatsConnection, prefix: string, to: string, what: AppliedAnswer): void {
  const { node, applied, reason } = what;
  nc.publish(`${prefix}${nameToken(node)}.${to}`, JSON.stringify({ applied, reason }));
}

/** Until this connection is closed for good: the client itself subscribes again after a break. */
async function listenOn(
  nc: NatsConnection,
  subject: string,
  onQuestion: (question: AppliedQuestion) => void,
  signal: AbortSignal,
): Promise<void> {
  const subscription = nc.subscribe(subject, {
    callback: (error, message) => {
      // Without the permission to listen the board has to do.
      const read = error === null ? question.safeParse(readJson(message)) : null;
      if (read?.success) onQuestion(read.data);
    },
  });
  await Promise.race([nc.closed(), aborted(signal, null)]);
  if (!nc.isClosed()) subscription.unsubscribe();
}

function readAnswer(message: Msg, prefix: string): AppliedAnswer | null {
  const read = answer.safeParse(readJson(message));
  if (!read.success) return null;
  const [token = ""] = message.subject.slice(prefix.length).split(".");
  // A dot cannot be in a subject token and "_" cannot be in a node name.
  return { node: token.replaceAll("_", "."), ...read.data };
}

function readJson(message: Msg): unknown {
  try {
    return message.json();
  } catch {
    return null; // Nobody of ours: the schema refuses it.
  }
}

function sessionOf(link: NatsLink): NatsConnection | null {
  try {
    return link.session().nc;
  } catch (error) {
    if (error instanceof LogError) return null;
    throw error;
  }
}

function aborted(signal: AbortSignal, ms: number | null): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = ms === null ? undefined : setTimeout(resolve, ms);
    const done = (): void => {
      clearTimeout(timer);
      resolve();
    };
    signal.addEventListener("abort", done, { once: true });
  });
}
