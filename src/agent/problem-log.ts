// Problems in the program's log: each one once when it begins and once when it is over. What comes
// and goes between two looks is not worth a line.

import type { Logger } from "./logger.ts";

export interface ProblemLog {
  /** The problems as they are now. */
  note(problems: readonly string[]): void;
}

export function createProblemLog(logger: Logger): ProblemLog {
  let known: ReadonlySet<string> = new Set();
  return {
    note: (problems) => {
      const now = new Set(problems);
      for (const reason of now) if (!known.has(reason)) logger.warn("problem", { reason });
      for (const reason of known) if (!now.has(reason)) logger.info("problem over", { reason });
      known = now;
    },
  };
}
