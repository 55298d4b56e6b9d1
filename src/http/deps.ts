// What the fabric's HTTP hook is built from. Everything that costs or can fail is handed in, so
// that tests run the app without a socket.

import type { BoardWatch } from "../agent/board-watch.ts";
import type { Logger } from "../agent/logger.ts";
import type { Clock } from "../events/clock.ts";
import type { FoundInquiry, Inquiry } from "../events/inquiry.ts";
import type { EventLog } from "../events/log.ts";
import type { StatusBoard } from "../events/status-board.ts";
import type { SignerKey } from "./audit-key.ts";
import type { Auditor } from "./auditor.ts";
import type { Follower } from "./follower.ts";
import type { History } from "./history.ts";
import type { Metrics } from "./metrics.ts";
import type { Pages } from "./pages.ts";
import type { Sender, WebhookWorld } from "./webhook-sender.ts";
import type { Writer } from "./writer.ts";

/** What the caller has. */
export interface HookWorld {
  readonly fabric: string;
  readonly version: string;
  readonly log: EventLog;
  readonly board: StatusBoard;
  readonly inquiry: Inquiry;
  readonly foundInquiry: FoundInquiry;
  readonly checkpoints: EventLog;
  /** Makes the stream of checkpoints, if there is none. Throws LogError. */
  readonly createCheckpoints: () => Promise<void>;
  /** Signs checkpoints of the log; null: others do. */
  readonly key: SignerKey | null;
  readonly clock: Clock;
  /** Wall clock, for what people type ("2h") and for the end of tokens; never for state. */
  readonly wallMs: () => number;
  readonly logger: Logger;
  /** A new unique id for an event. */
  readonly newId: () => string;
  readonly webhooks: WebhookWorld;
}

/** What the routes have. */
export interface HookDeps extends HookWorld {
  readonly follower: Follower;
  readonly history: History;
  readonly pages: Pages;
  readonly writer: Writer;
  readonly boardWatch: BoardWatch;
  readonly audit: Auditor;
  readonly metrics: Metrics;
  readonly sender: Sender;
}
