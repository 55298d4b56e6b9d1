// GET /v1/events with Accept: text/event-stream: the log as it grows. The id of a message is its
// sequence, so a client that comes back with Last-Event-ID misses nothing and gets nothing twice,
// whichever server it comes back to.

import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import { createWaker, type Waker } from "../agent/waker.ts";
import { type EventType, eventTypes } from "../events/event.ts";
import { guarded } from "./auth.ts";
import type { Env } from "./context.ts";
import type { HookDeps } from "./deps.ts";
import { LiveLines } from "./live-lines.ts";
import { Problem } from "./problem.ts";
import { createRouter } from "./router.ts";

/** Proxies cut a connection on which nothing moves, most of them after a minute. */
const HEARTBEAT_MS = 15_000;
const CLIENTS_MAX = 5000;
const PAGE = 500;
const EVENT_STREAM = "text/event-stream";

export function streamRoutes(deps: HookDeps) {
  const { metrics } = deps;
  const live = new LiveLines(deps.follower);
  const read = guarded("read", deps.follower);
  const isStream = createMiddleware<Env>(async (c, next) => {
    // Whoever accepts anything gets a page, which ends.
    if (!c.req.header("accept")?.includes(EVENT_STREAM)) return next();
    const refused = await read.middleware(c, async () => undefined);
    if (refused instanceof Response) return refused;
    if (metrics.streamClients >= CLIENTS_MAX)
      throw new Problem(503, `${metrics.streamClients} clients follow already`);
    const frames = new Frames(deps, live, startOf(c, deps), typesOf(c));
    metrics.streamOpened();
    c.env?.keepOpen?.();
    const body = streamOf(frames, () => metrics.streamClosed());
    return c.body(body, 200, {
      "content-type": EVENT_STREAM,
      "cache-control": "no-store",
      // Reverse proxies that buffer would hold events back.
      "x-accel-buffering": "no",
    });
  });
  const router = createRouter();
  router.get("/v1/events", isStream);
  return router;
}

function streamOf(frames: Frames, onEnd: () => void): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let ended = false;
  /** A pull that was waiting when the client went away fails after it: that is one end, not two. */
  const end = (): void => {
    if (ended) return;
    ended = true;
    frames.stop();
    onEnd();
  };
  return new ReadableStream({
    async pull(controller) {
      try {
        controller.enqueue(encoder.encode(await frames.next()));
      } catch (error) {
        end();
        controller.error(error);
      }
    },
    cancel: end,
  });
}

/** What one client is sent, in order; asked for only when the client has room for it. */
class Frames {
  readonly #deps: HookDeps;
  readonly #live: LiveLines;
  readonly #types: ReadonlySet<EventType>;
  readonly #stop = new AbortController();
  readonly #waker: Waker;
  readonly #forget: () => void;
  #next: number;
  #opened = false;

  constructor(deps: HookDeps, live: LiveLines, from: number, types: readonly EventType[]) {
    this.#deps = deps;
    this.#live = live;
    this.#next = from;
    this.#types = new Set(types);
    this.#waker = createWaker(deps.clock);
    this.#forget = live.onNewer(this.#waker.wake);
  }

  /** Some messages, or the comment that keeps a quiet connection. Throws LogError. */
  async next(): Promise<string> {
    if (!this.#opened) {
      this.#opened = true;
      return ": follows the log\n\n";
    }
    const { clock } = this.#deps;
    const { signal } = this.#stop;
    const beatAtMs = clock.nowMs() + HEARTBEAT_MS;
    for (let leftMs = HEARTBEAT_MS; leftMs > 0 && !signal.aborted; ) {
      const text = await this.#read();
      if (text !== "") return text;
      await this.#waker.wait(leftMs, signal);
      leftMs = beatAtMs - clock.nowMs();
    }
    // An id without data moves the client's place past events of other types.
    return `id: ${this.#next - 1}\n\n`;
  }

  stop(): void {
    this.#forget();
    this.#stop.abort();
  }

  async #read(): Promise<string> {
    const kept = this.#live.from(this.#next);
    if (kept === null) return await this.#readPage();
    const wanted = kept.filter(({ type }) => this.#wants(type));
    this.#next += kept.length;
    return wanted.map(({ seq, text }) => frame(seq, text)).join("");
  }

  async #readPage(): Promise<string> {
    const { pages, follower } = this.#deps;
    const last = Math.min(follower.state().seq, this.#next + PAGE - 1);
    if (last < this.#next) return "";
    const range = {
      from: this.#next,
      last,
      types: [...this.#types],
      limit: PAGE,
      order: "asc",
    } as const;
    const { lines } = await pages.page(range);
    this.#next = last + 1;
    return lines.map((text) => frame(seqOf(text), text)).join("");
  }

  #wants(type: EventType | null): boolean {
    return this.#types.size === 0 || (type !== null && this.#types.has(type));
  }
}

function frame(seq: number, text: string): string {
  return `id: ${seq}\ndata: ${text}\n\n`;
}

/** Every line of a page begins with its sequence. */
function seqOf(text: string): number {
  return Number(/^\{"seq":(\d+)/.exec(text)?.[1]);
}

/** Behind the last event that the client has, else from the present on. */
function startOf(c: Context<Env>, { follower }: HookDeps): number {
  const { seq } = follower.state();
  const last = c.req.header("last-event-id");
  const from = c.req.query("from");
  if (last === undefined && from === undefined) return seq + 1;
  const [name, text] =
    last === undefined ? ["query parameter from", from] : ["Last-Event-ID", last];
  const value = text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  const first = last === undefined ? Math.max(1, value) : value + 1;
  if (first <= seq + 1) return first;
  const ends = Number.isNaN(first) ? "expected a sequence" : `the log ends at ${seq}`;
  throw new Problem(400, `${name} ${text}: ${ends}`, { parameter: name });
}

/** Throws Problem. */
function typesOf(c: Context<Env>): readonly EventType[] {
  const known: readonly string[] = eventTypes;
  const asked = c.req.queries("type") ?? [];
  const unknown = asked.find((type) => !known.includes(type));
  if (unknown === undefined) return asked as EventType[];
  throw new Problem(400, `query parameter type ${unknown}: expected one of ${known.join(", ")}`);
}
