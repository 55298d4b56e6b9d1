// Changing the log by hand: decide on the state at its head, append, then read back what the fold
// says of it at its place. What cannot be accepted is refused before anything is stored; a race
// lost in between is reported, never hidden.

import { randomUUID } from "node:crypto";
import { encode } from "../events/codec.ts";
import { type Command, decide } from "../events/decide.ts";
import type { Draft } from "../events/event.ts";
import type { EventLog } from "../events/log.ts";
import { foldTo, steps } from "../events/past.ts";
import type { FabricState } from "../events/state.ts";
import { subjectOf } from "../events/subject.ts";
import { alreadySo } from "../http/already.ts";
import { withLog } from "./connection.ts";
import type { Deps } from "./deps.ts";
import { EXIT_FAILED, EXIT_OK, EXIT_USAGE, Failure } from "./failure.ts";
import type { LogFlags } from "./flags.ts";

/**
 * Sequence of the last event; `state` is taken on to there. Throws Failure when refused (2) or
 * void at its place (1).
 */
export async function writeCommand(
  log: EventLog,
  state: FabricState,
  command: Command,
  at: string,
): Promise<number> {
  const decision = decide(state, command);
  if (!decision.ok) throw new Failure(EXIT_USAGE, `${at}: ${decision.reason}`);
  const seqs: number[] = [];
  for (const draft of decision.events) seqs.push(await appendEvent(log, state.fabric, draft));
  await confirm(log, state, seqs, at);
  return seqs.at(-1) ?? state.seq;
}

export interface ChangeFlags extends LogFlags {
  readonly json?: boolean;
}

/** One change to the log, unless it is so already, told on stdout as about `what`. */
export async function change(
  deps: Deps,
  flags: ChangeFlags,
  command: Command,
  what: string,
): Promise<number> {
  const seq = await withLog(deps, flags, async ({ log }) => {
    const state = await foldTo(log, flags.fabric, null, deps.wallMs());
    return alreadySo(state, command) ? null : await writeCommand(log, state, command, what);
  });
  if (flags.json) deps.out.json({ seq, changed: seq !== null });
  else deps.out.line(`${what}: ${seq === null ? "unchanged" : `sequence ${seq}`}`);
  return EXIT_OK;
}

export async function appendEvent(log: EventLog, fabric: string, draft: Draft): Promise<number> {
  const id = randomUUID();
  const payload = encode(draft, id);
  const appended = await log.append({ subject: subjectOf(fabric, draft), payload, id });
  // Without an expected sequence there is nothing to conflict with.
  if (!appended.ok) throw new Failure(EXIT_FAILED, `${draft.type}: conflict`);
  return appended.seq;
}

async function confirm(
  log: EventLog,
  state: FabricState,
  seqs: readonly number[],
  at: string,
): Promise<void> {
  const seq = seqs.at(-1);
  if (seq === undefined) return;
  const until = { name: at, point: { kind: "seq", text: String(seq), seq } } as const;
  for await (const { record, folded } of steps(log, state, until, 0)) {
    if (!seqs.includes(record.seq) || folded.verdict.kind === "accepted") continue;
    const reason = `overtaken at sequence ${record.seq}: ${folded.verdict.reason}`;
    throw new Failure(EXIT_FAILED, `${at}: ${reason}`);
  }
}
