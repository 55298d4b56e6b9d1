// Publishes a host's transitions, at most one a second, while there is a good log to publish to;
// and tells the program's own log what the problems are.

import { type Clock, sleep } from "../events/clock.ts";
import type { ProblemLog } from "./problem-log.ts";
import type { Reporter } from "./reporter.ts";
import type { Speaker } from "./speaker.ts";
import type { Tail } from "./tail.ts";

const REPORT_MS = 1000;

export interface ReportingDeps {
  readonly tail: Tail;
  readonly clock: Clock;
  readonly speaker: Speaker;
  readonly reporter: Reporter;
  readonly problemLog: ProblemLog;
  readonly problems: () => readonly string[];
  /** False before the host was ready for the first time: what is missing then is no change. */
  readonly wasReady: () => boolean;
  /** False while the name is not ours to speak for, and once the agent is on its way out. */
  readonly maySpeak: () => boolean;
}

export async function runReporting(deps: ReportingDeps, signal: AbortSignal): Promise<void> {
  const { tail, clock, speaker, reporter } = deps;
  while (!signal.aborted) {
    await sleep(clock, REPORT_MS, signal);
    const { caughtUp, connected, damage } = tail.view();
    const problems = deps.problems();
    if (deps.wasReady()) reporter.problems(problems);
    // Damage, and a start without the log, are logged where they are found.
    const met = connected || caughtUp;
    if (met && damage === null && deps.maySpeak()) deps.problemLog.note(problems);
    const draft = reporter.next();
    if (signal.aborted || draft === null || !deps.maySpeak()) continue;
    // A log that is not trusted is not written to either.
    if (!caughtUp || !connected || damage !== null) continue;
    const said = await speaker.say(draft);
    if (said.ok) reporter.published(draft);
  }
}
