// An export of the log, one JSON document per line:
//
//   {"kind":"heddle-audit","v":1,"fabric":…,"created":…,"from":…,"peaks":[…]}
//   {"kind":"record","seq":…,"time":…,"subject":…,"payload":…}    in order, none left out
//   {"kind":"checkpoint","checkpoint":…,"from":…,"leaves":…}      after the record of its size
//   {"kind":"missing","from":…,"to":…}                            what the log does not hold
//   {"kind":"end","to":…,"head":…}
//
// A payload that is not UTF-8 is "payloadBase64". `peaks` are the hashes of the records before
// `from`: the first checkpoint that follows proves them right.

import { z } from "zod";
import { fromBase64 } from "./checkpoint.ts";
import {
  type CheckpointRecord,
  checkpointRecordSchema,
  encodedLeaves,
} from "./checkpoint-record.ts";
import type { Recorded } from "./log.ts";
import { isoTime } from "./point.ts";

const seq = z.int().positive();

const lineSchema = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("heddle-audit"),
    v: z.literal(1),
    fabric: z.string(),
    created: z.string(),
    from: seq,
    peaks: z.array(z.string()),
  }),
  z.object({
    kind: z.literal("record"),
    seq,
    time: z.string(),
    subject: z.string(),
    payload: z.string().optional(),
    payloadBase64: z.string().optional(),
  }),
  z.object({ kind: z.literal("checkpoint"), ...checkpointRecordSchema.shape }),
  z.object({ kind: z.literal("missing"), from: seq, to: seq }),
  z.object({ kind: z.literal("end"), to: z.int().nonnegative(), head: z.int().nonnegative() }),
]);

export type ExportLine = z.infer<typeof lineSchema>;
type Line<K extends ExportLine["kind"]> = Extract<ExportLine, { kind: K }>;

/** Null when `text` is not a line of an export. */
export function parseLine(text: string): ExportLine | null {
  try {
    return lineSchema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null; // The caller says which line.
  }
}

// The byte order mark is part of a payload, and a decoder would drop it.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

export function recordLine({ seq, timeMs, subject, payload }: Recorded): Line<"record"> {
  const head = { kind: "record", seq, time: isoTime(timeMs), subject } as const;
  try {
    return { ...head, payload: decoder.decode(payload) };
  } catch {
    return { ...head, payloadBase64: payload.toBase64() };
  }
}

/** Null when the time or the payload is not written in the one way that stands for some bytes. */
export function recordOf(line: Line<"record">): Recorded | null {
  const { seq, subject } = line;
  const timeMs = Date.parse(line.time);
  const payload =
    line.payload === undefined
      ? fromBase64(line.payloadBase64 ?? "-")
      : encoder.encode(line.payload);
  if (payload === null || Number.isNaN(timeMs) || isoTime(timeMs) !== line.time) return null;
  return { seq, timeMs, subject, payload };
}

export function checkpointLine({ text, from, leaves }: CheckpointRecord): Line<"checkpoint"> {
  return { kind: "checkpoint", checkpoint: text, from, leaves: encodedLeaves(leaves) };
}
