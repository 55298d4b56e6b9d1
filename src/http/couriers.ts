// One courier for each webhook of the log, as the fold has them now, and no cursor of any other.
// Like all that acts here it compares what is wanted with what is found: an event only wakes it.

import { createWaker } from "../agent/waker.ts";
import { LogError } from "../events/log.ts";
import { addedSeqOf, webhookId } from "../events/webhook.ts";
import { Courier, type CourierDeps } from "./courier.ts";

const RETRY_MS = 1000;

interface Running {
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

export interface Couriers {
  /** Until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>;
}

/** To be made before the follower runs. */
export function createCouriers(deps: CourierDeps): Couriers {
  const { follower, webhooks, clock, logger } = deps;
  const running = new Map<string, Running>();
  const waker = createWaker(clock);
  follower.onFolded((_record, { event }) => {
    if (event?.type === "WebhookAdded" || event?.type === "WebhookRemoved") waker.wake();
  });

  async function compare(): Promise<void> {
    const all = [...follower.state().webhooks.values()];
    const wanted = new Map(all.map((webhook) => [webhookId(webhook), webhook]));
    for (const [id, { stop, done }] of running) {
      if (wanted.has(id)) continue;
      stop.abort();
      await done;
      running.delete(id);
    }
    for (const [id, webhook] of wanted) {
      if (running.has(id)) continue;
      const stop = new AbortController();
      running.set(id, { stop, done: new Courier(deps, webhook).run(stop.signal) });
    }
    const { seq } = follower.state();
    for (const id of await webhooks.queue.ids()) {
      // One that was added after what is folded here may be wanted.
      if (!wanted.has(id) && (addedSeqOf(id) ?? seq) < seq) await webhooks.queue.remove(id);
    }
  }

  async function attempt(signal: AbortSignal): Promise<void> {
    // A log that is not read to its end would bring back webhooks that are long removed.
    const stale = await follower.fresh();
    if (stale === null) await compare();
    await waker.wait(stale === null ? null : RETRY_MS, signal);
  }

  return {
    run: async (signal) => {
      if (webhooks.keys.length === 0) return;
      while (!signal.aborted) {
        try {
          await attempt(signal);
        } catch (error) {
          if (!(error instanceof LogError)) throw error;
          logger.warn("webhooks stand still", { reason: error.message });
          await waker.wait(RETRY_MS, signal);
        }
      }
      for (const { stop } of running.values()) stop.abort();
      await Promise.all([...running.values()].map(({ done }) => done));
    },
  };
}
