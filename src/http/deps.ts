// What the fabric's HTTP hook is built from. Everything that costs or can fail is handed in, so
// that tests run the app without a socket.

import type { Logger } from "../agent/logger.ts";
import type { Clock } from "../events/clock.ts";
import type { EventLog } from "../events/log.ts";
import type { StatusBoard } from "../events/status-board.ts";
import type { Auditor } from "./auditor.ts";
import type { Follower } from "./follower.ts";

export interface HookDeps {
  readonly fabric: string;
  readonly version: string;
  readonly follower: Follower;
  readonly audit: Auditor;
  readonly log: EventLog;
  readonly checkpoints: EventLog;
  readonly board: StatusBoard;
  readonly clock: Clock;
  /** Wall clock, for what people type ("2h") and for the end of tokens; never for state. */
  readonly wallMs: () => number;
  readonly logger: Logger;
  /** A new unique id for an event. */
  readonly newId: () => string;
}
