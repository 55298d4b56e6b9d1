// A log in memory, its checkpoint stream, and servers that follow and sign it, on a clock that the
// test turns.

import type { Logger } from "../../src/agent/logger.ts";
import { encode } from "../../src/events/codec.ts";
import type { Draft } from "../../src/events/event.ts";
import type { EventLog } from "../../src/events/log.ts";
import { subjectOf } from "../../src/events/subject.ts";
import { newSigner, type SignerKey } from "../../src/http/audit-key.ts";
import { type Auditor, createAuditor } from "../../src/http/auditor.ts";
import { createFollower } from "../../src/http/follower.ts";
import { MemoryLog } from "./log-memory.ts";
import { manualClock } from "./manual-clock.ts";

const FABRIC = "t";

export const auditKey = newSigner(`heddle/${FABRIC}`).key;

export class AuditedLog {
  readonly clock = manualClock(Date.UTC(2030, 0, 1));
  readonly memory = new MemoryLog(this.clock);
  readonly checkpointMemory = new MemoryLog(this.clock);
  readonly log: EventLog = this.memory.client().log;
  readonly checkpoints: EventLog = this.checkpointMemory.client().log;
  /** What the servers logged as errors. */
  readonly errors: string[] = [];
  readonly #stop = new AbortController();
  #appended = 0;

  /** One more server of this log. */
  server(key: SignerKey | null = auditKey): Auditor {
    const { clock } = this;
    const follower = createFollower({ log: this.memory.client().log, clock, fabric: FABRIC });
    const checkpoints = this.checkpointMemory.client().log;
    const createCheckpoints = async (): Promise<void> => undefined;
    const auditor = createAuditor({
      ...{ fabric: FABRIC, follower, checkpoints, createCheckpoints, clock, key },
      logger: this.#logger(),
    });
    void follower.run(this.#stop.signal);
    void auditor.run(this.#stop.signal);
    return auditor;
  }

  async append(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const id = `id-${++this.#appended}`;
      const draft: Draft = { type: "HostRecovered", data: { node: `h${this.#appended}` } };
      await this.log.append({ subject: subjectOf(FABRIC, draft), payload: encode(draft, id), id });
    }
  }

  close(): void {
    this.#stop.abort();
  }

  #logger(): Logger {
    const ignore = (): void => undefined;
    const error: Logger["error"] = (message, fields) =>
      void this.errors.push(`${message}: ${String(fields?.reason)}`);
    return { debug: ignore, info: ignore, warn: ignore, error };
  }
}
