// Inquiries over plain NATS, outside the subjects of every stream: `heddle-ask.<fabric>.applied`
// carries questions, `heddle-answer.<fabric>.<node>.<id>` answers. The one who answers is in the
// subject, so that NATS permissions authenticate it; a reply inbox would let any host speak for
// any.

import type { Msg, NatsConnection } from "@nats-io/nats-core";
import type { AppliedAnswer, Inquiry } from "./inquiry.ts";
import { messageSchemas } from "./late.ts";
import { nameToken } from "./name.ts";
import type { NatsLink } from "./nats-connect.ts";
import { listenTo, readJson } from "./nats-listen.ts";

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
    listen: (onQuestion, signal) =>
      listenTo(
        link,
        asked,
        (message) => {
          const read = messageSchemas().question.safeParse(readJson(message));
          if (read.success) onQuestion(read.data);
        },
        signal,
      ),
  };
}

function send(nc: NatsConnection, prefix: string, to: string, what: AppliedAnswer): void {
  const { node, applied, reason } = what;
  nc.publish(`${prefix}${nameToken(node)}.${to}`, JSON.stringify({ applied, reason }));
}

function readAnswer(message: Msg, prefix: string): AppliedAnswer | null {
  const read = messageSchemas().answer.safeParse(readJson(message));
  if (!read.success) return null;
  const [token = ""] = message.subject.slice(prefix.length).split(".");
  // A dot cannot be in a subject token and "_" cannot be in a node name.
  return { node: token.replaceAll("_", "."), ...read.data };
}
