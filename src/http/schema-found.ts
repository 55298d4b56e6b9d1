// What a host says of its kernel. It may be of another version, so the server checks what it says
// before it passes it on.

import { z } from "@hono/zod-openapi";

const count = z.int().nonnegative();
const drift = {
  noun: z.string(),
  problem: z.enum(["missing", "altered", "stray"]),
  found: z.string().nullable(),
  wanted: z.string().nullable(),
};

export const foundSchema = z
  .object({
    node: z.string(),
    state: z.string(),
    problems: z.array(z.string()),
    applied: count,
    planned: count.nullable().openapi({
      description: "Sequence of the plan that the kernel was last compared with",
    }),
    asWanted: z.boolean(),
    differences: z.array(
      z.object({
        ...drift,
        command: z.string().openapi({ description: "What would put it right" }),
        error: z.string().nullable().openapi({ description: "Why that failed when last tried" }),
      }),
    ),
    differenceCount: count,
    error: z.string().nullable().openapi({ description: "Why the kernel could not be read" }),
    failed: z.array(z.object({ node: z.string(), error: z.string() })),
    healed: z
      .object({ time: z.iso.datetime().nullable(), count, items: z.array(z.object(drift)) })
      .nullable()
      .openapi({ description: "What was last put right after somebody else had changed it" }),
  })
  .openapi("Found", { description: "What a host's kernel held when it was last looked at" });
