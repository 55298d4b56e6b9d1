// Reads one stream through an ephemeral pull consumer, speaking the pull protocol itself. The
// client's own consumers stall silently for up to 45 s after a plain restart, and for as long as a
// cluster node is down; here any sign of trouble, silence included, ends the reader with a
// LogError.
//
// Invariant: what `next` returns is contiguous in delivery order; nothing is skipped or repeated. A
// pull is always outstanding unless the caller is behind, so a stored message arrives at once.
// The consumer is not deleted at the end (that right would extend to other hosts' consumers): the
// server drops it after INACTIVE_MS without a reader.

import { AckPolicy, type ConsumerConfig, DeliverPolicy, ReplayPolicy } from "@nats-io/jetstream";
import { createInbox, type Msg, type Subscription } from "@nats-io/nats-core";
import { LogError, type Recorded } from "./log.ts";
import { type Delivery, deliveryIn, deliveryMark } from "./log-jetstream-delivery.ts";
import type { NatsLink, Session } from "./nats-connect.ts";
import type { Frame } from "./nats-frame.ts";
import { claim } from "./nats-transport.ts";

export interface PullStart {
  readonly stream: string;
  /** First sequence to deliver, or null for whatever the stream holds. */
  readonly from: number | null;
  /** How many messages at most; null follows the stream. */
  readonly limit: number | null;
  /** Refuse holes between stream sequences, as in a stream where nothing is ever removed. */
  readonly contiguous: boolean;
}

// 5000 reads 100k/s even at 40 ms of round trip; more gains nothing on loopback.
const BATCH = 5000;
const REFILL_BELOW = 3750;
const EXPIRES_MS = 30_000;
const HEARTBEAT_MS = 1000;
const TICK_MS = 500;
/** Ticks without a word from the server, which sends a heartbeat every other tick. */
const SILENT_TICKS = 5;
const INACTIVE_MS = 10_000;
/** Of a reader that wants a few records and never comes back: many of them may be made a second. */
const INACTIVE_MS_BRIEF = 2000;
const NANOS_PER_MS = 1e6;

const STATUS_HEARTBEAT = 100;
const STATUS_NO_MESSAGES = 404;
const STATUS_PULL_ENDED = 408;

const PULL = pullOf(BATCH);

function pullOf(batch: number): Uint8Array {
  return new TextEncoder().encode(
    JSON.stringify({
      batch,
      expires: EXPIRES_MS * NANOS_PER_MS,
      idle_heartbeat: HEARTBEAT_MS * NANOS_PER_MS,
    }),
  );
}

export class PullReader {
  /** Messages that the stream held beyond those handed out. */
  behind: number;
  readonly #session: Session;
  readonly #start: PullStart;
  readonly #nextSubject: string;
  readonly #inbox: string;
  readonly #mark: Uint8Array;
  readonly #forget: () => void;
  readonly #ticker: ReturnType<typeof setInterval>;
  readonly #subscription: Subscription;
  readonly #release: () => void;
  #queue: Recorded[] = [];
  #failure: LogError | null = null;
  #wake: (() => void) | null = null;
  /** Whose abort ends a wait. */
  #signal: AbortSignal | null = null;
  readonly #aborted = () => this.#wake?.();
  #outstanding = 0;
  /** Messages not asked for yet. */
  #wanted: number;
  #pending: number;
  #silentTicks = 0;
  #consumerSeq = 0;
  #streamSeq: number;

  private constructor(link: NatsLink, session: Session, start: PullStart, made: Made) {
    this.#session = session;
    this.#start = start;
    this.behind = made.pending;
    this.#wanted = start.limit ?? Number.POSITIVE_INFINITY;
    this.#pending = made.pending;
    this.#streamSeq = start.from === null ? 0 : start.from - 1;
    this.#nextSubject = `$JS.API.CONSUMER.MSG.NEXT.${start.stream}.${made.name}`;
    this.#mark = deliveryMark(start.stream, made.name);
    this.#inbox = createInbox(session.inboxPrefix);
    this.#forget = link.onDown((why) => {
      // A refused publish of others is theirs to report.
      if (why.kind === "unreachable" || why.message.includes(this.#nextSubject)) this.#fail(why);
    });
    this.#subscription = session.nc.subscribe(this.#inbox, {
      callback: (error, message) => this.#receive(error, message),
    });
    this.#release = claim(session.nc, this.#subscription, (bytes, frame) =>
      this.#take(bytes, frame),
    );
    this.#ticker = setInterval(() => this.#tick(), TICK_MS);
    // Records are on their way while the caller asks what else it has to know.
    this.#refill();
  }

  /** Throws LogError. */
  static async open(link: NatsLink, start: PullStart): Promise<PullReader> {
    const session = link.session();
    const info = await link.ask(({ jsm }) =>
      jsm.consumers.add(start.stream, consumerConfig(start)),
    );
    return new PullReader(link, session, start, { name: info.name, pending: info.num_pending });
  }

  /** What has arrived, at least one message; null once `signal` aborts. Throws LogError. */
  async next(signal: AbortSignal): Promise<readonly Recorded[] | null> {
    this.#refill();
    if (this.#queue.length === 0 && this.#failure === null && !signal.aborted) {
      await this.#arrival(signal);
    }
    if (signal.aborted) return null;
    if (this.#queue.length === 0) throw this.#failure ?? new LogError("unreachable", "closed");
    const batch = this.#queue;
    this.behind = this.#pending;
    this.#queue = [];
    return batch;
  }

  close(): void {
    clearInterval(this.#ticker);
    this.#listenTo(null);
    this.#forget();
    this.#release();
    if (!this.#session.nc.isClosed()) this.#subscription.unsubscribe();
  }

  #arrival(signal: AbortSignal): Promise<void> {
    this.#listenTo(signal);
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** A follower waits on one signal: to begin and end that for each record costs 20 us of it. */
  #listenTo(signal: AbortSignal | null): void {
    if (this.#signal === signal) return;
    this.#signal?.removeEventListener("abort", this.#aborted);
    signal?.addEventListener("abort", this.#aborted);
    this.#signal = signal;
  }

  /** Pulls overlap: the next one waits at the server before the last one is used up. */
  #refill(): void {
    if (this.#failure !== null || this.#outstanding + this.#queue.length > REFILL_BELOW) return;
    const batch = Math.min(BATCH, this.#wanted);
    if (batch === 0) return;
    if (this.#outstanding === 0) this.#silentTicks = 0;
    this.#outstanding += batch;
    this.#wanted -= batch;
    try {
      const pull = batch === BATCH ? PULL : pullOf(batch);
      this.#session.nc.publish(this.#nextSubject, pull, { reply: this.#inbox });
    } catch (error) {
      this.#fail(new LogError("unreachable", "connection closed", { cause: error }));
    }
  }

  /** The short way of a record, past the client. Whatever else is said here goes through it, which
   *  is later: a status counts pulls or ends the reader, and either may come after records. */
  #take(bytes: Buffer, frame: Frame): boolean {
    const delivery = deliveryIn(bytes, frame.replyAt, frame.replyEnd, this.#mark);
    if (delivery === null) return false;
    const subject = bytes.toString("utf8", frame.subjectAt, frame.subjectEnd);
    // A view into what the socket delivered, where nothing is written again.
    this.#receiveRecord(delivery, subject, bytes.subarray(frame.payloadAt, frame.payloadEnd));
    return true;
  }

  /** Must not throw: the client's read loop would end with it. */
  #receive(error: Error | null, message: Msg): void {
    if (error !== null) {
      this.#fail(new LogError("refused", error.message, { cause: error }));
      return;
    }
    const reply = new TextEncoder().encode(message.reply ?? "");
    const delivery = deliveryIn(reply, 0, reply.length, this.#mark);
    if (delivery === null) this.#receiveStatus(message);
    else this.#receiveRecord(delivery, message.subject, message.data);
  }

  #receiveRecord(delivery: Delivery, subject: string, payload: Uint8Array): void {
    if (this.#failure !== null) return;
    const { seq, consumerSeq, timeMs } = delivery;
    this.#silentTicks = 0;
    this.#outstanding--;
    this.#consumerSeq++;
    const holed = this.#start.contiguous && seq !== this.#streamSeq + 1;
    if (consumerSeq !== this.#consumerSeq || holed) {
      const expected = `after ${this.#streamSeq} came ${seq} (delivery ${consumerSeq})`;
      this.#fail(new LogError("gap", `${this.#start.stream}: ${expected}`));
      return;
    }
    this.#streamSeq = seq;
    this.#pending = delivery.pending;
    this.#queue.push({ seq, timeMs, subject, payload });
    this.#wake?.();
  }

  #receiveStatus(message: Msg): void {
    if (this.#failure !== null) return;
    this.#silentTicks = 0;
    const code = message.headers?.code ?? 0;
    switch (code) {
      case STATUS_HEARTBEAT:
        return;
      case STATUS_NO_MESSAGES:
      case STATUS_PULL_ENDED: {
        const unused = Number.parseInt(message.headers?.get("Nats-Pending-Messages") || "0", 10);
        this.#outstanding = Math.max(0, this.#outstanding - unused);
        this.#wanted += unused;
        this.#refill();
        return;
      }
      default: {
        const text = message.headers?.description || "no responders";
        this.#fail(new LogError("unreachable", `${this.#start.stream}: ${code} ${text}`));
      }
    }
  }

  /** Counts ticks, not time: after a long pause of this process the answers are still in the socket
   *  and one late tick must not condemn the server. */
  #tick(): void {
    if (this.#outstanding === 0 || ++this.#silentTicks < SILENT_TICKS) return;
    this.#fail(new LogError("unreachable", `${this.#start.stream}: the server fell silent`));
  }

  #fail(why: LogError): void {
    this.#failure ??= why;
    this.#wake?.();
  }
}

/** The opened reader, or null when `signal` aborts first; a reader that opens later is closed. */
export async function untilAborted(
  signal: AbortSignal,
  open: () => Promise<PullReader>,
): Promise<PullReader | null> {
  if (signal.aborted) return null;
  const aborted = Promise.withResolvers<null>();
  const abort = () => aborted.resolve(null);
  signal.addEventListener("abort", abort);
  const opening = open();
  try {
    const reader = await Promise.race([opening, aborted.promise]);
    // Nobody waits for its error any more.
    if (reader === null) void opening.then((late) => late.close()).catch(() => undefined);
    return reader;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

interface Made {
  readonly name: string;
  readonly pending: number;
}

function consumerConfig(start: PullStart): Partial<ConsumerConfig> {
  const at =
    start.from === null
      ? { deliver_policy: DeliverPolicy.All }
      : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: start.from };
  return {
    ...at,
    ack_policy: AckPolicy.None,
    replay_policy: ReplayPolicy.Instant,
    mem_storage: true,
    num_replicas: 1,
    inactive_threshold: (start.limit === null ? INACTIVE_MS : INACTIVE_MS_BRIEF) * NANOS_PER_MS,
  };
}
