// heddle events: the log as a timeline. It folds from the first record whatever range is asked for,
// because only the fold can tell which of the records count.

import { sleep } from "../events/clock.ts";
import { eventTypes } from "../events/event.ts";
import { type Folded, fold } from "../events/fold.ts";
import { type EventLog, LogError, type Recorded } from "../events/log.ts";
import { steps } from "../events/past.ts";
import { instantOf, isoTime, type Point } from "../events/point.ts";
import { type FabricState, initialState } from "../events/state.ts";
import { summaryOf } from "../events/summary.ts";
import { eventDocument } from "../http/event-view.ts";
import { withLog } from "./connection.ts";
import type { Deps } from "./deps.ts";
import { EXIT_OK, misuse } from "./failure.ts";
import type { LogFlags } from "./flags.ts";

interface EventsFlags extends LogFlags {
  readonly from?: Point;
  readonly to?: Point;
  readonly type?: readonly string[];
  readonly follow?: boolean;
  readonly json?: boolean;
}

type Show = (record: Recorded, folded: Folded) => void;

export async function events(deps: Deps, flags: EventsFlags): Promise<number> {
  const types = checkedTypes(flags.type ?? []);
  if (flags.follow && flags.to !== undefined) {
    throw misuse("--follow", "cannot be combined with --to");
  }
  const nowMs = deps.wallMs();
  const show = showing(deps, flags, types, nowMs);
  await withLog(deps, flags, async ({ log }) => {
    await refuseBeyondHead(log, flags);
    const until = flags.to === undefined ? null : { name: "--to", point: flags.to };
    const state = initialState(flags.fabric);
    for await (const { record, folded } of steps(log, state, until, nowMs)) show(record, folded);
    if (flags.follow) await follow(deps, log, state, show);
  });
  return EXIT_OK;
}

function checkedTypes(types: readonly string[]): ReadonlySet<string> {
  const known: readonly string[] = eventTypes;
  for (const type of types) {
    if (!known.includes(type)) {
      throw misuse(`--type ${type}`, `expected one of ${known.join(", ")}`);
    }
  }
  return new Set(types);
}

async function refuseBeyondHead(log: EventLog, flags: EventsFlags): Promise<void> {
  const { from, to } = flags;
  if (from?.kind !== "seq") return;
  const { lastSeq } = await log.info();
  // One past the end is where --follow goes on from.
  if (from.seq > lastSeq + (flags.follow ? 1 : 0)) {
    const ends = lastSeq === 0 ? "the log is empty" : `the log ends at ${lastSeq}`;
    throw misuse(`--from ${from.text}`, ends);
  }
  if (to?.kind === "seq" && to.seq < from.seq) {
    throw misuse(`--to ${to.text}`, `is before --from ${from.text}`);
  }
}

function showing(deps: Deps, flags: EventsFlags, types: ReadonlySet<string>, nowMs: number): Show {
  const { from } = flags;
  const fromSeq = from?.kind === "seq" ? from.seq : 1;
  const fromMs = from === undefined ? null : instantOf(from, nowMs);
  return (record, folded) => {
    if (record.seq < fromSeq || (fromMs !== null && record.timeMs < fromMs)) return;
    if (types.size > 0 && !types.has(folded.event?.type ?? "")) return;
    if (flags.json) deps.out.json(eventDocument(record, folded));
    else deps.out.line(eventLine(record, folded, flags.fabric));
  };
}

const RETRY_MS = 500;

/** Goes on where it stands when the server comes back; any other trouble ends it. */
async function follow(deps: Deps, log: EventLog, state: FabricState, show: Show): Promise<void> {
  const stop = new AbortController();
  const forget = deps.onSignal(() => stop.abort());
  let connected = true;
  try {
    while (!stop.signal.aborted) {
      try {
        for await (const batch of log.read(state.seq + 1, stop.signal)) {
          connected = true;
          for (const record of batch) show(record, fold(state, record));
        }
      } catch (error) {
        if (!(error instanceof LogError) || error.kind !== "unreachable") throw error;
        if (connected) deps.out.note(`heddle: log: ${error.message}; trying again`);
        connected = false;
        await sleep(deps.clock, RETRY_MS, stop.signal);
      }
    }
  } finally {
    forget();
  }
}

/** One line: sequence, time, type, who wrote it, what it says, and what became of it. */
export function eventLine(record: Recorded, folded: Folded, fabric: string): string {
  const { event, verdict } = folded;
  const columns = [
    String(record.seq).padStart(6),
    isoTime(record.timeMs),
    (event?.type ?? "?").padEnd(16),
    writerOf(record.subject, fabric).padEnd(10),
  ];
  const summary = event === null ? `${record.payload.length} bytes` : summaryOf(event);
  const outcome = verdict.kind === "accepted" ? "" : ` [${verdict.kind}: ${verdict.reason}]`;
  return `${columns.join("  ")}  ${summary}${outcome}`.trimEnd();
}

/** The subject names the writer: what the server authenticated, whatever the payload claims. */
function writerOf(subject: string, fabric: string): string {
  const [root, name, kind, node] = subject.split(".");
  if (root !== "heddle" || name !== fabric) return "?";
  return kind === "node" ? (node ?? "?").replaceAll("_", ".") : (kind ?? "?");
}
