// Whether a question about an address that nobody owns is worth an answer. The first one is: the
// sender hears at once that there is nobody. One that is repeated at once is left to the kernel,
// which asks once a second and gives up after three; so is everything beyond what a flood may cost.

import type { Ip } from "../events/address.ts";

/** A second question within this time gets no answer of its own. */
const REPEAT_MS = 10_000;
const KNOWN_MAX = 1024;
/** An answer costs some 50 us: a flood costs a twentieth of a core. */
const PER_SECOND = 1000;

export class MissLimiter {
  /** By address, in the order of the time until which it counts as answered. */
  readonly #untilMs = new Map<Ip, number>();
  #secondMs = Number.NEGATIVE_INFINITY;
  #taken = 0;

  take(address: Ip, nowMs: number): boolean {
    const until = this.#untilMs.get(address);
    if (until !== undefined && nowMs < until) return false;
    if (nowMs - this.#secondMs >= 1000) {
      this.#secondMs = nowMs;
      this.#taken = 0;
    }
    if (this.#taken >= PER_SECOND) return false;
    this.#taken++;
    this.#note(address, nowMs + REPEAT_MS);
    return true;
  }

  #note(address: Ip, untilMs: number): void {
    this.#untilMs.delete(address);
    this.#untilMs.set(address, untilMs);
    if (this.#untilMs.size <= KNOWN_MAX) return;
    const [oldest] = this.#untilMs.keys();
    if (oldest !== undefined) this.#untilMs.delete(oldest);
  }
}
