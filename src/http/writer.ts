// Changes to the log on behalf of a caller: decide on the state at the head, append, and answer
// with what the fold made of it at its place. What cannot be accepted is refused before anything is
// stored.
//
// Invariant: one Idempotency-Key writes at most once, whichever server it reaches and however
// often.

import { encode } from "../events/codec.ts";
import { type Command, decide } from "../events/decide.ts";
import type { Author, Draft } from "../events/event.ts";
import { LogError } from "../events/log.ts";
import { subjectOf } from "../events/subject.ts";
import type { Verdict } from "../events/verdict.ts";
import { alreadySo } from "./already.ts";
import type { Caller } from "./context.ts";
import type { HookWorld } from "./deps.ts";
import type { Follower } from "./follower.ts";
import { fingerprint, idOf, type KeyedWrite, Keys } from "./keys.ts";
import { Problem, type ProblemStatus } from "./problem.ts";

export interface Written {
  readonly seq: number;
  /** False when it was so already: nothing was written, and `seq` is the end of the log. */
  readonly changed: boolean;
}

/** A record that the server has stored is here within milliseconds. */
const ECHO_MS = 5000;

export class Writer {
  readonly #world: HookWorld;
  readonly #follower: Follower;
  readonly #keys = new Keys();
  /** Verdicts by id of the event, for those who wait for them. */
  readonly #echoes = new Map<string, Verdict | null>();

  /** To be made before the follower runs. */
  constructor(world: HookWorld, follower: Follower) {
    this.#world = world;
    this.#follower = follower;
    follower.onFolded((record, folded) => {
      this.#keys.note(record.seq, follower.state().timeMs, folded);
      const id = folded.event?.id;
      if (id !== undefined && this.#echoes.has(id)) this.#echoes.set(id, folded.verdict);
    });
  }

  /** Throws Problem when refused, LogError when the log does not answer. */
  async write(command: Command, caller: Caller, key: string | null): Promise<Written> {
    await this.#follower.fresh();
    const request = fingerprint(command);
    const id = key === null ? this.#world.newId() : idOf(caller.token, key);
    const known = this.#keys.find(id);
    if (known !== null) return replay(known, request);
    const state = this.#follower.state();
    if (alreadySo(state, command)) return { seq: state.seq, changed: false };
    const decision = decide(state, command);
    if (!decision.ok) throw new Problem(STATUS[command.type] ?? 409, decision.reason);
    const [draft, more] = decision.events;
    if (draft === undefined || more !== undefined)
      throw new Error(`${command.type}: not one event`);
    const by = { token: caller.token, ...(key === null ? {} : { request }) };
    return await this.#append(draft, id, by);
  }

  async #append(draft: Draft, id: string, by: Author): Promise<Written> {
    const { log, fabric } = this.#world;
    this.#echoes.set(id, null);
    try {
      const subject = subjectOf(fabric, draft);
      const stored = await log.append({ subject, payload: encode(draft, id, by), id });
      // Without an expected sequence there is nothing to conflict with.
      if (!stored.ok) throw new Problem(409, `${draft.type}: conflict`);
      const { seq } = stored;
      const came = await this.#follower.reached(seq, ECHO_MS);
      // Another request with the same key may have been first.
      const known = by.request === undefined ? null : this.#keys.find(id);
      if (known !== null) return replay(known, by.request ?? "");
      const verdict = this.#echoes.get(id) ?? null;
      if (!came || verdict === null) {
        throw new LogError("unreachable", `sequence ${seq} was written and did not come back`);
      }
      return outcome(seq, verdict);
    } finally {
      this.#echoes.delete(id);
    }
  }
}

/** Statuses of refusals that are not conflicts with the present state. */
const STATUS: { readonly [T in Command["type"]]?: ProblemStatus } = {
  Configure: 400,
  RemovePeer: 404,
  Revoke: 404,
  RevokeToken: 404,
  RemoveWebhook: 404,
};

function replay(known: KeyedWrite, request: string): Written {
  if (known.request === request) return outcome(known.seq, known.verdict);
  const detail = `this Idempotency-Key wrote something else, at sequence ${known.seq}`;
  throw new Problem(422, detail, { seq: known.seq });
}

function outcome(seq: number, verdict: Verdict): Written {
  if (verdict.kind === "accepted") return { seq, changed: true };
  throw new Problem(409, `overtaken at sequence ${seq}: ${verdict.reason}`, { seq });
}
