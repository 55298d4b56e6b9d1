// The live end of the log as server-sent events, read with fetch because EventSource cannot send a
// token. After a broken connection it goes on behind the last event it had.

import { EventSourceParserStream } from "eventsource-parser/stream";
import { ApiError, request } from "./api.ts";
import type { EventRow } from "./event-pages.ts";

const RETRY_MS = 1000;
const REFUSED_MS = 10_000;

export interface StreamEvents {
  onEvent(event: EventRow): void;
  /** Null while connected, else why not. */
  onTrouble(reason: string | null): void;
}

/** Until `signal` aborts. `after` is the last sequence that the caller has. */
export async function streamEvents(
  after: number,
  signal: AbortSignal,
  events: StreamEvents,
): Promise<void> {
  let last = after;
  while (!signal.aborted) {
    let pauseMs = RETRY_MS;
    try {
      for await (const event of readOnce(last, signal, () => events.onTrouble(null))) {
        last = event.seq;
        events.onEvent(event);
      }
      events.onTrouble("the server ended the stream");
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.status >= 400) pauseMs = REFUSED_MS;
      events.onTrouble(error instanceof Error ? error.message : String(error));
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

async function* readOnce(
  last: number,
  signal: AbortSignal,
  onOpen: () => void,
): AsyncGenerator<EventRow> {
  const headers = { accept: "text/event-stream", "last-event-id": String(last) };
  const response = await request("/v1/events", { headers, signal });
  onOpen();
  if (response.body === null) return;
  const messages = response.body
    .pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array<ArrayBuffer>>)
    .pipeThrough(new EventSourceParserStream());
  const reader = messages.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    // Comments and other kinds keep the connection alive.
    if (value.id !== undefined && value.data !== "") yield JSON.parse(value.data) as EventRow;
  }
}
