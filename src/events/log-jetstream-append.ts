// One append, with its outcome made certain. A timeout says nothing (a frozen server stores the
// message when it thaws), and which answer a repeated append gets differs between server versions;
// so the same id is sent again, and a conflict is settled by looking at what is stored.

import { type Append, type Appended, LogError } from "./log.ts";
import { isWrongLastSequence } from "./log-jetstream-error.ts";
import type { NatsLink } from "./nats-connect.ts";

const GIVE_UP_MS = 15_000;
const BACKOFF_MS_MIN = 50;
const BACKOFF_MS_MAX = 1000;

/** Throws LogError. */
export async function append(link: NatsLink, stream: string, message: Append): Promise<Appended> {
  const deadline = performance.now() + GIVE_UP_MS;
  for (let backoffMs = BACKOFF_MS_MIN; ; backoffMs = Math.min(backoffMs * 2, BACKOFF_MS_MAX)) {
    try {
      return await attempt(link, stream, message);
    } catch (error) {
      if (!(error instanceof LogError) || error.kind !== "unreachable") throw error;
      if (link.closed()) throw error;
      if (link.connected()) await refuseMissing(link, stream);
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) throw error;
      await Bun.sleep(Math.min(backoffMs, leftMs));
      await link.untilUp(deadline - performance.now());
    }
  }
}

async function attempt(link: NatsLink, stream: string, message: Append): Promise<Appended> {
  const { subject, payload, id, expectLastSubjectSeq } = message;
  const expect =
    expectLastSubjectSeq === undefined
      ? {}
      : { expect: { lastSubjectSequence: expectLastSubjectSeq } };
  try {
    const ack = await link.ask(({ js }) =>
      js.publish(subject, payload, { msgID: id, timeout: link.timeoutMs, ...expect }),
    );
    // Asking the server to check this (Nats-Expected-Stream) would stop mirrors before 2.11.5.
    if (ack.stream !== stream) {
      throw new LogError("missing", `${subject} belongs to stream ${ack.stream}, not ${stream}`);
    }
    return { ok: true, seq: ack.seq, duplicate: ack.duplicate };
  } catch (error) {
    if (expectLastSubjectSeq === undefined || !isWrongLastSequence(error)) throw error;
    return await settleConflict(link, stream, message, expectLastSubjectSeq);
  }
}

/** If ours was stored, it is the one right after the expected sequence on its subject; what others
 *  stored later does not hide it. */
async function settleConflict(
  link: NatsLink,
  stream: string,
  message: Append,
  expected: number,
): Promise<Appended> {
  const query = { seq: expected + 1, next_by_subj: message.subject };
  const next = await link.ask(({ jsm }) => jsm.streams.getMessage(stream, query));
  if (next?.header.get("Nats-Msg-Id") !== message.id) return { ok: false, reason: "conflict" };
  return { ok: true, seq: next.seq, duplicate: true };
}

/** No responders means a missing stream, or one without a leader for the moment. */
async function refuseMissing(link: NatsLink, stream: string): Promise<void> {
  try {
    await link.ask(({ jsm }) => jsm.streams.info(stream));
  } catch (error) {
    if (!(error instanceof LogError) || error.kind !== "unreachable") throw error;
  }
}
