// The only randomness of a simulation: one seed, one stream of numbers; and named streams of their
// own for parts that must not disturb each other's numbers when one of them draws more or less.

export interface Prng {
  /** In [0, 1). */
  next(): number;
  /** Whole number in [low, high]. */
  int(low: number, high: number): number;
  chance(probability: number): boolean;
  pick<const T>(items: readonly [T, ...T[]]): T;
  /** One of `items`, or null when there is none. */
  oneOf<T>(items: readonly T[]): T | null;
  /** A stream that depends on the seed and the name alone. */
  fork(name: string): Prng;
}

/** mulberry32. */
export function prng(seed: number): Prng {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const int = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1));
  return {
    next,
    int,
    chance: (probability) => next() < probability,
    pick: (items) => items[int(0, items.length - 1)] ?? items[0],
    oneOf: (items) => items[int(0, items.length - 1)] ?? null,
    fork(name) {
      let hash = seed >>> 0;
      for (const char of name) hash = (Math.imul(hash, 31) + char.charCodeAt(0)) >>> 0;
      const forked = prng(hash);
      // Names that differ in their last letter give seeds that do; the first number would show it.
      forked.next();
      return forked;
    },
  };
}
