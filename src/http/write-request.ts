// What all routes that change the log have in common: the headers they take, their answers, and the
// way to the writer.

import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { Command } from "../events/decide.ts";
import type { Env } from "./context.ts";
import type { HookDeps } from "./deps.ts";
import { problems } from "./schema-problem.ts";
import type { Written } from "./writer.ts";

export const headers = z.object({
  "idempotency-key": z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/, "expected 1 to 255 visible ASCII characters")
    .optional()
    .openapi({ description: "Makes a repeated request harmless, for 7 days" }),
});

const writtenSchema = z
  .object({
    seq: z.int().positive().openapi({ description: "What to wait for: GET /v1/converged?seq=" }),
    changed: z.boolean().openapi({ description: "False when it was so already" }),
  })
  .openapi("Written");

const done = { description: "Done", content: { "application/json": { schema: writtenSchema } } };
export const responses = { 200: done, ...problems(400, 409, 413, 415, 422) };
export const responsesOfDelete = { 200: done, ...problems(400, 404, 409, 422) };

export async function write(c: Context<Env>, deps: HookDeps, command: Command): Promise<Written> {
  const key = c.req.header("idempotency-key") ?? null;
  const caller = c.get("caller");
  if (caller === null) throw new Error("a write on nobody's behalf");
  return await deps.writer.write(command, caller, key);
}
