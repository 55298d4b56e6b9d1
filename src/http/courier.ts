// Delivers to one webhook, event by event in the log's order. Where it stands is the queue's to
// know, so any number of servers may run one each, and each may end at any moment.
//
// Invariant: the cursor moves past an event only when it was delivered, is not wanted, or is among
// the dead letters.

import type { Logger } from "../agent/logger.ts";
import { type Clock, sleep } from "../events/clock.ts";
import { fnv1a64 } from "../events/hash.ts";
import { LogError } from "../events/log.ts";
import { type Webhook, wants, webhookId } from "../events/webhook.ts";
import { cloudEvent } from "../events/webhook-cloud-event.ts";
import { PROGRESS_MS, type Queued } from "../events/webhook-queue.ts";
import { pauseAfter } from "../events/webhook-retry.ts";
import type { Follower } from "./follower.ts";
import { happened } from "./happened.ts";
import type { History } from "./history.ts";
import type { Metrics } from "./metrics.ts";
import type { Attempt } from "./webhook-delivery.ts";
import type { Sender, WebhookWorld } from "./webhook-sender.ts";

export interface CourierDeps {
  readonly fabric: string;
  readonly clock: Clock;
  readonly wallMs: () => number;
  readonly logger: Logger;
  readonly follower: Follower;
  readonly history: History;
  readonly sender: Sender;
  readonly metrics: Pick<Metrics, "delivery">;
  readonly webhooks: WebhookWorld;
}

const RETRY_MS = 1000;

export class Courier {
  readonly #deps: CourierDeps;
  readonly #webhook: Webhook;
  readonly #id: string;
  #trouble: string | null = null;

  constructor(deps: CourierDeps, webhook: Webhook) {
    this.#deps = deps;
    this.#webhook = webhook;
    this.#id = webhookId(webhook);
  }

  /** Until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#follow(signal);
      } catch (error) {
        if (!(error instanceof LogError)) throw error;
        this.#say(error.message);
        await sleep(this.#deps.clock, RETRY_MS, signal);
      }
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { queue } = this.#deps.webhooks;
    await queue.open(this.#id, this.#webhook.addedSeq + 1);
    while (!signal.aborted) {
      const queued = await queue.next(this.#id, signal);
      this.#say(null);
      if (queued !== null) await this.#kept(queued, signal);
    }
  }

  /** Deals with one, saying meanwhile that it is being dealt with. */
  async #kept(queued: Queued, signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    const tick = (): void => {
      queued.progress();
      cancel = clock.after(PROGRESS_MS, tick);
    };
    let cancel = clock.after(PROGRESS_MS, tick);
    try {
      await this.#deal(queued, signal);
    } finally {
      cancel();
    }
  }

  async #deal(queued: Queued, signal: AbortSignal): Promise<void> {
    const { fabric, sender } = this.#deps;
    // A server that was killed may begin before the place that its cursor was made for (2.9.10).
    if (queued.seq <= this.#webhook.addedSeq) return await queued.done();
    // Held, not given back: that would count as an attempt.
    while (!signal.aborted && !(await this.#mayDeal(queued.seq, signal)));
    if (signal.aborted) return await queued.again(0);
    const found = await happened(this.#deps, queued.seq);
    if (found === null || !wants(this.#webhook, found.event)) return await queued.done();
    const event = cloudEvent(fabric, found.record, found.event);
    const attempt = await sender.send(this.#webhook, event, signal);
    if (attempt.ok) return await this.#delivered(queued);
    // Stopped, and not refused: the next server may have it at once.
    if (signal.aborted) return await queued.again(0);
    await this.#failed(queued, found.record.timeMs, attempt);
  }

  /** Waits a while for the fold to have `seq`, of a log that is what it was. */
  async #mayDeal(seq: number, signal: AbortSignal): Promise<boolean> {
    const { follower, clock } = this.#deps;
    if (follower.view().damage === null) return await follower.reached(seq, RETRY_MS, signal);
    await sleep(clock, RETRY_MS, signal);
    return false;
  }

  async #delivered(queued: Queued): Promise<void> {
    const { metrics, webhooks } = this.#deps;
    const { queue } = webhooks;
    metrics.delivery("delivered");
    await queued.done();
    // Read each time: another server may have failed at the event before.
    if ((await queue.failing(this.#id)) !== null) await queue.noteFailing(this.#id, null);
  }

  async #failed(
    queued: Queued,
    storedMs: number,
    { status, reason }: Attempt & { ok: false },
  ): Promise<void> {
    const { webhooks, follower, wallMs, logger, metrics } = this.#deps;
    const { seq, attempt } = queued;
    const atMs = wallMs();
    const ageMs = follower.logNowMs() - storedMs;
    const lot = lotOf(`${this.#id} ${seq} ${attempt}`);
    const pauseMs = pauseAfter(attempt, ageMs, lot, webhooks.pausesMs);
    metrics.delivery(pauseMs === null ? "dead" : "failed");
    const nextMs = pauseMs === null ? null : atMs + pauseMs;
    const sinceMs = (await webhooks.queue.failing(this.#id))?.sinceMs ?? atMs;
    const failing = { ...{ seq, attempt, status, reason }, ...{ sinceMs, atMs, nextMs } };
    await webhooks.queue.noteFailing(this.#id, failing);
    const fields = { hook: this.#webhook.name, seq, attempt, reason };
    if (pauseMs !== null) {
      logger.info("webhook not delivered", { ...fields, retryMs: pauseMs });
      return await queued.again(pauseMs);
    }
    logger.warn("webhook given up", fields);
    await webhooks.queue.bury(this.#id, { seq, attempts: attempt, status, reason, atMs });
    await queued.done();
  }

  #say(trouble: string | null): void {
    if (trouble === this.#trouble) return;
    this.#trouble = trouble;
    const fields = { hook: this.#webhook.name, reason: trouble };
    if (trouble !== null) this.#deps.logger.warn("webhook stands still", fields);
  }
}

const LOTS = 1000n;

/** From 0 to 1: chance enough to keep the webhooks of one receiver apart. */
function lotOf(text: string): number {
  return Number(fnv1a64(text) % LOTS) / Number(LOTS);
}
