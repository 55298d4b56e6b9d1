// How often who may ask: a token bucket for each key, and a bound on how many keys there are. A
// bucket that nobody has drawn from for a while is full, so forgetting it changes nothing.

import type { Clock } from "../events/clock.ts";

interface Bucket {
  tokens: number;
  atMs: number;
}

export interface RateOptions {
  readonly perSecond: number;
  /** How many at once after a pause. */
  readonly burst: number;
}

const KEYS_MAX = 10_000;

export class RateLimit {
  readonly #clock: Clock;
  readonly #perMs: number;
  readonly #burst: number;
  /** In order of use. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(clock: Clock, { perSecond, burst }: RateOptions) {
    this.#clock = clock;
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
  }

  /** Null when `key` may go on, else the milliseconds until it may. */
  take(key: string): number | null {
    const nowMs = this.#clock.nowMs();
    const bucket = this.#buckets.get(key) ?? { tokens: this.#burst, atMs: nowMs };
    const tokens = bucket.tokens + (nowMs - bucket.atMs) * this.#perMs;
    bucket.tokens = Math.min(this.#burst, tokens);
    bucket.atMs = nowMs;
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    this.#forgetOldest();
    if (bucket.tokens < 1) return (1 - bucket.tokens) / this.#perMs;
    bucket.tokens--;
    return null;
  }

  #forgetOldest(): void {
    if (this.#buckets.size <= KEYS_MAX) return;
    for (const key of this.#buckets.keys()) {
      this.#buckets.delete(key);
      return;
    }
  }
}
