// Reading and waiting as an agent does it: an unreachable log is asked again.

import { expect } from "bun:test";
import { type EventLog, LogError, type Recorded } from "../../src/events/log.ts";

/** The first `count` records, read again from where it stands while the log is unreachable. */
export async function follow(from: EventLog, count: number): Promise<Recorded[]> {
  const records: Recorded[] = [];
  while (records.length < count) {
    try {
      for await (const batch of from.read(records.length + 1, new AbortController().signal)) {
        records.push(...batch);
        if (records.length >= count) break;
      }
    } catch (error) {
      if (!(error instanceof LogError) || error.kind !== "unreachable") throw error;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  expect(records.map(({ seq }) => seq)).toEqual(Array.from({ length: count }, (_, i) => i + 1));
  return records;
}

/** Asks until the condition holds; an unreachable log is not an answer. */
export async function until(condition: () => Promise<boolean>): Promise<void> {
  for (;;) {
    const met = await condition().catch((error: unknown) => {
      if (error instanceof LogError && error.kind === "unreachable") return false;
      throw error;
    });
    if (met) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
