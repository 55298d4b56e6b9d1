// Events as reads answer with them: event-view.ts makes these documents.

import { z } from "@hono/zod-openapi";
import { eventTypes } from "../events/event.ts";

export const eventTypeSchema = z.enum(eventTypes).openapi("EventType");

export const eventSchema = z
  .object({
    seq: z.int().positive(),
    time: z.iso.datetime(),
    subject: z.string(),
    // Not `nullable()`: that would make the named schema nullable wherever it is used.
    type: z.union([eventTypeSchema, z.null()]),
    v: z.int().nullable(),
    id: z.string().nullable(),
    by: z.string().nullable().openapi({
      description: "Name of the token on whose behalf it was written; null when by none",
    }),
    data: z.record(z.string(), z.unknown()).nullable(),
    verdict: z
      .object({ kind: z.enum(["accepted", "void", "quarantined"]), reason: z.string().optional() })
      .openapi({ description: "What became of it at its place in the log" }),
    raw: z
      .object({ encoding: z.enum(["text", "base64"]), value: z.string(), bytes: z.int() })
      .optional()
      .openapi({ description: "The beginning of a record that is no event" }),
  })
  .openapi("Event");

export const pageSchema = z
  .object({
    events: z.array(eventSchema),
    next: z.int().nullable().openapi({
      description: "`from` of the next page, with order=desc its `to`; null at the end",
    }),
    head: z.int().openapi({ description: "Last sequence of the log" }),
  })
  .openapi("EventPage");
