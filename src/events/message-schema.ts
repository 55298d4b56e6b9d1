// Schemas of what is written outside the events' data: questions and answers, notes, the board, the
// snapshot. Loaded when the first such thing is read (late.ts).

import { z } from "zod";
import { QUESTION_MS_MAX } from "./inquiry.ts";

/** Of a question; one token of a subject. */
const id = z.string().regex(/^[A-Za-z0-9-]{1,64}$/);
const seq = z.int().nonnegative();

const note = {
  seq: z.int().positive(),
  status: z.int().nullable(),
  reason: z.string(),
  atMs: z.number(),
};

export const messageSchemas = {
  question: z.object({ id, seq, waitMs: z.number().min(0).max(QUESTION_MS_MAX) }),
  answer: z.object({ applied: seq, reason: z.string().max(1024).nullable() }),
  foundQuestion: z.object({ id }),

  /** On whose behalf an event was written. */
  author: z.object({
    token: z.string().min(1).max(63),
    request: z.string().min(1).max(64).optional(),
  }),

  /** What of a host's entry on the status board says whether it is alive. */
  boardEntry: z.object({ instance: z.string(), state: z.string() }),

  /** Why a webhook stands still. */
  failing: z.object({
    ...note,
    attempt: z.int().positive(),
    sinceMs: z.number(),
    nextMs: z.number().nullable(),
  }),
  deadLetter: z.object({ ...note, attempts: z.int().positive() }),

  /** Of a snapshot, before its version is looked at. */
  snapshotHeader: z.object({
    schema: z.int(),
    fabric: z.string(),
    position: z.object({
      created: z.string(),
      seq: z.int().nonnegative(),
      chain: z.string(),
      tip: z.string(),
    }),
    writer: z.string().optional(),
    sum: z.number(),
    // The sum says that it is still what encodeSnapshot of the very same version wrote: its shape
    // is not checked again.
    state: z.record(z.string(), z.unknown()),
  }),
};
