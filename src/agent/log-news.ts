// What changed about the log that is followed, as the agent's own log tells it, and whether there
// is anything else to do about it.

import type { Logger } from "./logger.ts";
import type { TailView } from "./tail.ts";

export interface LogNews {
  /** False when the log was only read further on its way to its end: until then no host may act. */
  tell(view: TailView): boolean;
}

export function createLogNews(logger: Logger, onFrozen: (damage: string) => void): LogNews {
  let damageBefore: string | null = null;
  let wasReading = false;
  return {
    tell(view) {
      const { seq, head, connected, caughtUp, damage } = view;
      const reading = connected && !caughtUp && damage === null;
      if (reading && wasReading) return false;
      wasReading = reading;
      if (damage !== null && damage !== damageBefore) {
        logger.error("frozen", { seq, reason: damage });
        onFrozen(damage);
      }
      if (damage === null && damageBefore !== null) logger.info("log is good again", { seq });
      damageBefore = damage;
      logger.debug("log", { seq, head, connected, caughtUp });
      return true;
    },
  };
}
