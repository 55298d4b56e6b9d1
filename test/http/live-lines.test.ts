// What a client that follows the log costs while nothing happens in it.

import { heapStats } from "bun:jsc";
import { expect, test } from "bun:test";
import { Hono } from "hono";
import { accepted } from "../../src/events/verdict.ts";
import type { Env } from "../../src/http/context.ts";
import type { HookDeps } from "../../src/http/deps.ts";
import type { FoldedListener } from "../../src/http/follower.ts";
import { createMetrics } from "../../src/http/metrics.ts";
import { streamRoutes } from "../../src/http/routes-stream.ts";
import { manualClock } from "../support/manual-clock.ts";

const HEARTBEAT_MS = 15_000;

function promisesAlive(): number {
  Bun.gc(true);
  return heapStats().objectTypeCounts.Promise ?? 0;
}

/** A client's stream over a log that `happen` adds to. */
async function client(query: string) {
  const clock = manualClock();
  let heard: FoldedListener = () => undefined;
  let seq = 0;
  const follower = {
    view: () => ({ damage: null }),
    state: () => ({ seq }),
    onFolded(listener: FoldedListener) {
      heard = listener;
    },
  };
  const deps = { follower, clock, metrics: createMetrics() } as unknown as HookDeps;
  const app = new Hono<Env>();
  app.use(async (c, next) => {
    c.set("caller", { token: "ci", scopes: ["read"] });
    await next();
  });
  app.route("/", streamRoutes(deps));
  const headers = { accept: "text/event-stream" };
  const answer = await app.request(`/v1/events${query}`, { headers });
  if (answer.body === null) throw new Error("no body");
  const reader = answer.body.getReader();
  const read = async () => new TextDecoder().decode((await reader.read()).value);
  expect(await read()).toBe(": follows the log\n\n");
  const happen = () => {
    seq++;
    const record = { seq, timeMs: 0, subject: "", payload: new Uint8Array() };
    heard(record, { event: null, verdict: accepted });
  };
  return { clock, reader, read, happen };
}

test("a client of a quiet log costs no more after a day than after a minute", async () => {
  const { clock, reader, read } = await client("");
  const beats = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      await clock.advance(HEARTBEAT_MS);
      await read();
    }
  };
  await beats(4);
  const before = promisesAlive();
  await beats(1000);
  expect(promisesAlive() - before).toBeLessThan(100);
  await reader.cancel();
});

test("a client of what never happens hears signs of life while other things happen", async () => {
  const { clock, reader, read, happen } = await client("?type=PeerAdded");
  const said = read();
  for (let ms = 0; ms < 2 * HEARTBEAT_MS; ms += HEARTBEAT_MS / 3) {
    happen();
    await clock.advance(HEARTBEAT_MS / 3);
  }
  expect(await Promise.race([said, Promise.resolve("nothing")])).toMatch(/^id: [34]\n\n$/);
  await reader.cancel();
});
