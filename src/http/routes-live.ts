// GET /v1/head and /v1/hosts: where the log ends, and how far each host says it has come. Progress
// is not history; it is what the status board holds now.

import { createRoute, z } from "@hono/zod-openapi";
import { GONE_MS } from "../agent/liveness.ts";
import type { HostStatus } from "../events/status-board.ts";
import { guarded } from "./auth.ts";
import type { HookDeps } from "./deps.ts";
import { Problem } from "./problem.ts";
import { createRouter } from "./router.ts";
import { problems } from "./schema-problem.ts";

const count = z.int().nonnegative();

const headSchema = z
  .object({
    seq: count,
    /** Of the last record; null while the log is empty. */
    time: z.iso.datetime().nullable(),
  })
  .openapi("Head");

const hostSchema = z
  .object({
    node: z.string(),
    state: z.string(),
    /** Last sequence that the host has applied. */
    applied: count,
    peers: z.object({ applied: count, pending: count, failed: count }),
    problems: z.array(z.string()),
    version: z.string(),
    heardAt: z.iso.datetime(),
    /** Longer without a word than an agent that lives ever is. */
    silent: z.boolean(),
  })
  .openapi("HostProgress");

/** What is needed of a board entry; whatever else a newer agent says is not this server's. */
const entrySchema = z.object({
  state: z.string(),
  seq: z.object({ applied: count }),
  peers: z.object({ applied: count, pending: count, failed: count }),
  problems: z.array(z.string()),
  version: z.string(),
});

export function liveRoutes({ follower, boardWatch, wallMs }: HookDeps) {
  const read = guarded("read", follower);
  return createRouter()
    .openapi(
      createRoute({
        method: "get",
        path: "/v1/head",
        summary: "The end of the log",
        tags: ["state"],
        responses: {
          200: {
            description: "The last record",
            content: { "application/json": { schema: headSchema } },
          },
          ...problems(),
        },
        ...read,
      }),
      async (c) => {
        await follower.fresh();
        const { seq, timeMs } = follower.state();
        return c.json({ seq, time: seq === 0 ? null : new Date(timeMs).toISOString() }, 200);
      },
    )
    .openapi(
      createRoute({
        method: "get",
        path: "/v1/hosts",
        summary: "How far each host says it has come",
        tags: ["hosts"],
        responses: {
          200: {
            description: "The last word of each host",
            content: { "application/json": { schema: z.array(hostSchema) } },
          },
          ...problems(),
        },
        ...read,
      }),
      (c) => {
        const stale = boardWatch.trouble();
        if (!boardWatch.known()) {
          throw new Problem(503, stale ?? "the status board has not been read yet");
        }
        if (stale !== null) c.header("heddle-stale", stale);
        const entries = boardWatch.entries();
        // Stamps are the NATS server's: the newest of them, or the clock here, is now.
        const nowMs = Math.max(wallMs(), ...entries.map(({ timeMs }) => timeMs));
        return c.json(
          entries.flatMap((entry) => progressOf(entry, nowMs)),
          200,
        );
      },
    );
}

function progressOf(entry: HostStatus, nowMs: number): z.output<typeof hostSchema>[] {
  const said = entrySchema.safeParse(jsonOf(entry.payload));
  if (!said.success) return [];
  const { seq, ...rest } = said.data;
  return [
    {
      ...{ node: entry.node, applied: seq.applied, ...rest },
      heardAt: new Date(entry.timeMs).toISOString(),
      silent: nowMs - entry.timeMs > GONE_MS,
    },
  ];
}

/** Null for what is no JSON: somebody else wrote to the board. */
function jsonOf(payload: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(payload));
  } catch {
    return null;
  }
}
