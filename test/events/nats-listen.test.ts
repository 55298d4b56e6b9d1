// Hearing a subject through connections that come and go.

import { expect, test } from "bun:test";
import { getEventListeners } from "node:events";
import type { NatsLink } from "../../src/events/nats-connect.ts";
import { listenTo } from "../../src/events/nats-listen.ts";

test("a hundred lost connections leave nothing on the signal that will end it all", async () => {
  const stop = new AbortController();
  let connections = 0;
  let listeners = 0;
  const nc = {
    subscribe: () => ({ unsubscribe: () => undefined }),
    closed: async () => {
      await new Promise(setImmediate);
      listeners = getEventListeners(stop.signal, "abort").length;
      if (++connections === 100) stop.abort();
    },
    isClosed: () => true,
  };
  const link = { untilUp: async () => undefined, connected: () => true, session: () => ({ nc }) };
  await listenTo(link as unknown as NatsLink, "heddle-ask.t.applied", () => undefined, stop.signal);
  expect(listeners).toBe(1);
});
