import { expect, test } from "bun:test";
import { createLatest } from "../../src/web/latest.ts";

test("while one load is under way only the newest wish is kept", async () => {
  const loads: number[] = [];
  const shown: number[] = [];
  const gates = new Map<number, () => void>();
  const done = Promise.withResolvers<void>();
  const latest = createLatest<number, number>({
    load: async (key) => {
      loads.push(key);
      await new Promise<void>((resolve) => gates.set(key, resolve));
      return key;
    },
    onLoaded: (value) => {
      shown.push(value);
      if (value === 4) done.resolve();
    },
    onFailed: (error) => done.reject(error),
  });
  latest.want(1);
  for (const key of [2, 3, 4]) latest.want(key);
  gates.get(1)?.();
  while (!gates.has(4)) await Promise.resolve();
  gates.get(4)?.();
  await done.promise;
  expect(loads).toEqual([1, 4]);
  expect(shown).toEqual([1, 4]);
});

test("a failed load is told, and the next wish is loaded all the same", async () => {
  const failed: unknown[] = [];
  const done = Promise.withResolvers<number>();
  const latest = createLatest<number, number>({
    load: async (key) => {
      if (key === 1) throw new Error("away");
      return key;
    },
    onLoaded: (value) => done.resolve(value),
    onFailed: (error) => failed.push(error),
  });
  latest.want(1);
  latest.want(2);
  expect(await done.promise).toBe(2);
  expect(String(failed)).toBe("Error: away");
});
