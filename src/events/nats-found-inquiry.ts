// Questions to one host over plain NATS: `heddle-ask.<fabric>.found.<node>` carries the question,
// `heddle-answer.<fabric>.<node>.<id>` the answer, so that permissions authenticate who answers.
// That subject is also the question's reply subject: there the server says when nobody listens.

import type { FoundInquiry } from "./inquiry.ts";
import { messageSchemas } from "./late.ts";
import { nameToken } from "./name.ts";
import type { NatsLink } from "./nats-connect.ts";
import { listenTo, readJson } from "./nats-listen.ts";

/** Status of the message that the server sends for nobody (nats-server, "no responders"). */
const NOBODY = 503;

export function natsFoundInquiry(link: NatsLink, fabric: string): FoundInquiry {
  const asked = (node: string): string => `heddle-ask.${fabric}.found.${nameToken(node)}`;
  const answered = (node: string, to: string): string =>
    `heddle-answer.${fabric}.${nameToken(node)}.${to}`;
  return {
    ask: async (node, to, waitMs) => {
      const { nc } = link.session();
      const answer = Promise.withResolvers<Uint8Array | "nobody" | "silent">();
      const reply = answered(node, to);
      const subscription = nc.subscribe(reply, {
        callback: (error, message) => {
          if (error !== null) answer.resolve("silent");
          else answer.resolve(message.headers?.code === NOBODY ? "nobody" : message.data);
        },
      });
      const timer = setTimeout(() => answer.resolve("silent"), waitMs);
      try {
        nc.publish(asked(node), JSON.stringify({ id: to }), { reply });
        return await answer.promise;
      } finally {
        clearTimeout(timer);
        if (!nc.isClosed()) subscription.unsubscribe();
      }
    },
    listen: (node, answer, signal) =>
      listenTo(
        link,
        asked(node),
        (message) => {
          const read = messageSchemas().foundQuestion.safeParse(readJson(message));
          const bytes = read.success && link.connected() ? answer() : null;
          if (!read.success || bytes === null) return;
          link.session().nc.publish(answered(node, read.data.id), bytes);
        },
        signal,
      ),
  };
}
