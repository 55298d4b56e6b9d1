// Changing the log by hand: decide on the state at its head, append, then read back what the fold
// says of it at its place. What cannot be accepted is refused before anything is stored; a race
// lost in between is reported, never hidden.

import { randomUUID } from "node:crypto";
import { encode } from "../events/codec.ts";
import { type Command, decide } from "../events/decide.ts";
import type { Draft } from "../events/event.ts";
import type { EventLog } from "../events/log.ts";
import { steps } from "../events/past.ts";
import type { FabricState } from "../events/state.ts";
import { subjectOf } from "../events/subject.ts";
import { EXIT_FAILED, EXIT_USAGE, Failure } from "./failure.ts";
import type { Output } from "./output.ts";

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

/** `seq` null: it was so already. */
export function reportWrite(
  out: Output,
  flags: { readonly json?: boolean },
  what: string,
  seq: number | null,
): void {
  if (flags.json) out.json({ seq, changed: seq !== null });
  else if (seq === null) out.line(`${what}: unchanged`);
  else out.line(`${what}: sequence ${seq}`);
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
