// Transitions of a host as events: degraded, recovered, frozen, drift healed. It collects while the
// log is away and never repeats itself: what is published is what changed, at most once a second.

import type { Draft, DriftItem } from "../events/event.ts";

/** Items that one event names; the count of DriftHealed says how many there were. */
const ITEMS_MAX = 32;
/** So that 32 items of any text stay far below the largest payload that is accepted. */
const FOUND_CHARS_MAX = 256;
const TEXT_CHARS_MAX = 1024;

export interface Reporter {
  drift(items: readonly DriftItem[], count: number): void;
  frozen(reason: string): void;
  /** The problems as they are now; empty means the host is well. */
  problems(problems: readonly string[]): void;
  /** What is to be published now, or null; call `published` when the log has it. */
  next(): Draft | null;
  published(draft: Draft): void;
  /** Objects put right since the process started. */
  healed(): number;
}

export function createReporter(node: string): Reporter {
  let items: DriftItem[] = [];
  let count = 0;
  let healed = 0;
  let freeze: string | null = null;
  let current: readonly string[] = [];
  /** Problems last published, as one text; "" is a well host. */
  let said = "";

  function next(): Draft | null {
    if (freeze !== null) return { type: "HostFrozen", data: { node, reason: freeze } };
    if (count > 0) {
      return { type: "DriftHealed", data: { node, count, items: items.slice(0, ITEMS_MAX) } };
    }
    const now = current.join("\n");
    if (now === said) return null;
    if (now === "") return { type: "HostRecovered", data: { node } };
    return { type: "HostDegraded", data: { node, problems: [...current] } };
  }

  return {
    drift: (found, number) => {
      items = [...items, ...found.slice(0, ITEMS_MAX).map(clip)].slice(0, ITEMS_MAX);
      count += number;
      healed += number;
    },
    frozen: (reason) => {
      freeze = reason.slice(0, TEXT_CHARS_MAX);
    },
    problems: (problems) => {
      // Cut here, not when published: what was said is compared with what there is.
      current = problems.slice(0, ITEMS_MAX).map((problem) => problem.slice(0, TEXT_CHARS_MAX));
    },
    next,
    published: (draft) => {
      switch (draft.type) {
        case "HostFrozen":
          // There may be another by now.
          if (freeze === draft.data.reason) freeze = null;
          said = `frozen\n${said}`; // So that a recovery follows a freeze.
          return;
        case "DriftHealed":
          items = items.slice(draft.data.items.length);
          count -= draft.data.count;
          return;
        case "HostDegraded":
          said = draft.data.problems.join("\n");
          return;
        case "HostRecovered":
          said = "";
          return;
        default:
          return;
      }
    },
    healed: () => healed,
  };
}

function clip(item: DriftItem): DriftItem {
  const { noun, problem, found, wanted } = item;
  return {
    noun: noun.slice(0, 16),
    problem,
    found: found === null ? null : found.slice(0, FOUND_CHARS_MAX),
    wanted: wanted === null ? null : wanted.slice(0, FOUND_CHARS_MAX),
  };
}
