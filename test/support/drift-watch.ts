// Follows the DriftHealed events of a test fabric as a user would, with one `heddle events
// --follow`, so that a test can wait for the one that names what it did.

import type { DriftItem } from "../../src/events/event.ts";
import { PROGRAM, type TestFabric, until } from "./fabric.ts";

export interface DriftWatch {
  /** Everything healed on `node` since the watch began, in order. */
  items(node: string): readonly DriftItem[];
  close(): Promise<void>;
}

interface Shown {
  readonly type: string;
  readonly data: { readonly node: string; readonly items: readonly DriftItem[] };
}

export function watchDrift(fabric: TestFabric): DriftWatch {
  const log = ["--nats", fabric.dev.nats, "--fabric", fabric.dev.fabric];
  const args = ["events", "--follow", "--json", "--type", "DriftHealed"];
  const follower = fabric.spawn(fabric.dev.switch, [...PROGRAM, ...args, ...log]);
  const seen: Shown["data"][] = [];
  const read = async (): Promise<void> => {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of follower.stdout) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) seen.push((JSON.parse(line) as Shown).data);
    }
  };
  const reading = read();
  return {
    items: (node) => seen.filter((data) => data.node === node).flatMap(({ items }) => items),
    close: async () => {
      follower.kill("SIGTERM");
      await follower.exited;
      await reading;
    },
  };
}

/** Damages whose events a test may wait for together: one event has room for 32 items. */
export const DRIFT_BATCH = 4;

/** What an event must say: the noun, what was wrong with it, and words that name the object. */
export interface Named {
  readonly noun: string;
  readonly problem: string;
  readonly words: string;
}

export const missing = (noun: string, words: string): Named => ({
  noun,
  problem: "missing",
  words,
});
export const altered = (noun: string, words: string): Named => ({
  noun,
  problem: "altered",
  words,
});
export const stray = (noun: string, words: string): Named => ({ noun, problem: "stray", words });

/**
 * Resolves when an item after the first `known` of `node` is as named, with the number of items up
 * to and with it: they come in the order of what happened.
 */
export async function untilNamed(
  watch: DriftWatch,
  node: string,
  known: number,
  { noun, problem, words }: Named,
): Promise<number> {
  const matches = (item: DriftItem): boolean =>
    item.noun === noun &&
    item.problem === problem &&
    `${item.found ?? ""} ${item.wanted ?? ""}`.includes(words);
  const fresh = (): readonly DriftItem[] => watch.items(node).slice(known);
  try {
    const what = `DriftHealed: ${problem} ${noun} ${words}`;
    await until(what, 5000, () => fresh().some(matches));
  } catch (error) {
    throw new Error(`events name ${JSON.stringify(fresh())}`, { cause: error });
  }
  return known + fresh().findIndex(matches) + 1;
}
