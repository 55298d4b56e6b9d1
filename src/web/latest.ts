// Loads what was asked for last. While one load is under way only the newest wish is kept, so that
// a slider dragged through history shows moments as fast as they come and ends at the right one.

export interface Latest<K> {
  want(key: K): void;
}

export function createLatest<K, V>(deps: {
  readonly load: (key: K) => Promise<V>;
  readonly onLoaded: (value: V, key: K) => void;
  readonly onFailed: (error: unknown, key: K) => void;
}): Latest<K> {
  let busy = false;
  let next: { readonly key: K } | null = null;

  async function run(): Promise<void> {
    busy = true;
    while (next !== null) {
      const { key } = next;
      next = null;
      try {
        deps.onLoaded(await deps.load(key), key);
      } catch (error) {
        deps.onFailed(error, key);
      }
    }
    busy = false;
  }

  return {
    want(key) {
      next = { key };
      if (!busy) void run();
    },
  };
}
