// Webhooks as requests make them and answers show them.

import { z } from "@hono/zod-openapi";
import { isWebhookUrl } from "../events/webhook.ts";
import { eventTypeSchema } from "./schema-event.ts";
import { nodeName, peerName } from "./schema-param.ts";
import { webhookSchema } from "./schema-view.ts";

const URL_EXPECTED = "expected an http or https URL without credentials and fragment";
const URL_CHARS_MAX = 2048;

/** As people write it; passed on as the URL standard does, with the host in ASCII. */
const url = z
  .string()
  .max(URL_CHARS_MAX, URL_EXPECTED)
  .transform((text, context): string => {
    const parsed = URL.parse(text);
    const isGood =
      parsed !== null &&
      parsed.username + parsed.password === "" &&
      // What the log takes.
      isWebhookUrl(parsed.href);
    if (isGood) return parsed.href;
    context.issues.push({ code: "custom", message: URL_EXPECTED, input: text });
    return z.NEVER;
  })
  .openapi({ example: "https://ci.example/heddle" });

export const webhookBody = z
  .strictObject({
    name: peerName.openapi({ example: "ci" }),
    url,
    types: z.array(eventTypeSchema).max(64).default([]).openapi({ description: "Empty for all" }),
    nodes: z
      .array(nodeName)
      .max(256)
      .default([])
      .openapi({ description: "Only events about these nodes; empty for all events" }),
  })
  .openapi("NewWebhook");

const seq = z.int().positive();
const time = z.iso.datetime();
const status = z
  .int()
  .nullable()
  .openapi({ description: "Of the answer; null when there was none" });

export const addedSchema = z
  .object({
    seq,
    changed: z.boolean().openapi({ description: "False when it was so already" }),
    secret: z.string().openapi({
      description: "What the receiver checks signatures with (Standard Webhooks)",
      example: "whsec_…",
    }),
  })
  .openapi("AddedWebhook");

export const secretSchema = z.object({ secret: z.string() }).openapi("WebhookSecret");

export const hookViewSchema = webhookSchema
  .extend({
    cursor: z
      .object({
        seq: z.int().nonnegative().openapi({ description: "Dealt with up to here" }),
        behind: z.int().nonnegative().openapi({ description: "Records of the log after that" }),
      })
      .nullable()
      .openapi({ description: "null while no server has taken it up" }),
    failing: z
      .object({
        seq: seq.openapi({ description: "The event that it tries to deliver" }),
        attempt: z.int().positive(),
        ...{ status, reason: z.string(), since: time, lastAttempt: time },
        nextAttempt: time.nullable().openapi({ description: "null when it was given up" }),
      })
      .nullable()
      .openapi({ description: "null when the last delivery succeeded" }),
    dead: z.int().nonnegative().openapi({ description: "How many dead letters there are" }),
  })
  .openapi("HookStatus");

export const deadSchema = z
  .object({
    letters: z
      .array(
        z.object({
          seq: seq.openapi({ description: "The event: GET /v1/events?from=SEQ&limit=1" }),
          attempts: z.int().positive(),
          ...{ status, reason: z.string(), lastAttempt: time },
        }),
      )
      .readonly(),
    next: z.int().nullable().openapi({ description: "`from` of the next page; null at the end" }),
  })
  .openapi("DeadLetters");

export const attemptSchema = z
  .object({
    delivered: z.boolean(),
    status,
    reason: z.string().nullable().openapi({ description: "Why it was not delivered" }),
  })
  .openapi("Attempt");
