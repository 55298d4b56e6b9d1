// A record of the log as a JSON document with stable names: what `heddle events --json` prints and
// the hook answers with.

import type { Folded } from "../events/fold.ts";
import type { Recorded } from "../events/log.ts";
import { isoTime } from "../events/point.ts";

/** The stable JSON form of a record. */
export function eventDocument(record: Recorded, { event, verdict }: Folded): object {
  const head = { seq: record.seq, time: isoTime(record.timeMs), subject: record.subject };
  if (event !== null) {
    const { type, v, id, by, data } = event;
    return { ...head, type, v, id, by: by?.token ?? null, data, verdict };
  }
  const raw = rawPayload(record.payload);
  return { ...head, type: null, v: null, id: null, by: null, data: null, verdict, raw };
}

const RAW_BYTES_MAX = 256;

function rawPayload(payload: Uint8Array): object {
  const start = payload.subarray(0, RAW_BYTES_MAX);
  const bytes = payload.length;
  try {
    // A character cut at the end of the excerpt is no reason to call it binary.
    const text = new TextDecoder("utf-8", { fatal: true }).decode(start, {
      stream: bytes > RAW_BYTES_MAX,
    });
    return { encoding: "text", value: text, bytes };
  } catch {
    return { encoding: "base64", value: Buffer.from(start).toString("base64"), bytes };
  }
}
