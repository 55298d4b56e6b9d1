// One round: observe, diff, apply in phases, observe again. What it remembers between rounds is
// only what the kernel cannot tell: what failed and when to try again, and what was right when a
// round last ended well. Drift is what is no longer as that round left it and had to be put right;
// what the log changed since, or we did ourselves, is not drift.

import type { Clock } from "../events/clock.ts";
import type { DriftItem } from "../events/event.ts";
import { withAdded } from "./added.ts";
import { fail, forget, idOf, isHeld, nextDue, type Retries } from "./backoff.ts";
import { driftOf } from "./describe.ts";
import { type DiffOptions, diff } from "./diff.ts";
import type { Kernel, Scope } from "./kernel.ts";
import type { KernelState, Noun } from "./kernel-state.ts";
import type { NounRules } from "./noun.ts";
import { mapOf, nouns, upwards } from "./nouns.ts";
import type { NounTypes, Op } from "./op.ts";
import { complaint, mustWait, noObstacles, obstruct, phasesOf, refusalOf } from "./phase.ts";
import type { Plan } from "./plan.ts";
import { shared } from "./share.ts";

/** What the log wants of this host now. Asked often: must be cheap. */
export interface Wanted {
  /** Null while the host changes nothing: frozen, or no configuration yet. */
  readonly plan: Plan | null;
  /** True when the log has been read to its head, so that what it does not want may go. */
  readonly prune: boolean;
}

export interface Round {
  readonly seq: number;
  /** Ops that were sent to the kernel. */
  readonly ops: number;
  /** What others had changed and this round put right; at most DRIFT_MAX items. */
  readonly drift: readonly DriftItem[];
  readonly driftCount: number;
  /** What could not be done and why, one line each: by peer, and under null of the host itself. */
  readonly failures: Failures;
  /** The kernel was found as wanted, but for what is in `failures` and what waits for that. */
  readonly clean: boolean;
  /** What the last look found different from the plan; at most PENDING_MAX. */
  readonly pending: readonly Pending[];
  readonly pendingCount: number;
  /** On the clock given to the loop; null when nothing is to be tried again. */
  readonly retryAtMs: number | null;
  /** Why the kernel could not be read, or null. */
  readonly error: string | null;
  readonly tookMs: number;
}

export type Failures = ReadonlyMap<string | null, string>;

export interface Pending {
  /** What would put it right. */
  readonly op: Op;
  /** Why it did not when it was last tried; null when it was not. */
  readonly error: string | null;
}

/** For people to read, one host at a time. */
const PENDING_MAX = 64;

/** While the log never rests a round is verified this often all the same. */
const UNVERIFIED_MS_MAX = 1000;

/** As many as one DriftHealed event holds. */
const DRIFT_MAX = 32;

export interface Memory {
  readonly retries: Retries;
  /** Drift found but not yet put right. */
  readonly unhealed: Map<string, DriftItem>;
  /** What we changed or tried to since `verified`. */
  readonly touched: Set<string>;
  verified: { readonly kernel: KernelState; readonly options: DiffOptions } | null;
  /** The kernel as it was last read, for as long as nothing is known to have changed it. */
  known: { readonly kernel: KernelState; readonly scope: string; readonly stamp: number } | null;
  /** Since when rounds have been overtaken by the log; null after one that was verified. */
  unverifiedSinceMs: number | null;
}

export function newMemory(): Memory {
  const nothing = { verified: null, known: null, unverifiedSinceMs: null };
  return { retries: new Map(), unhealed: new Map(), touched: new Set(), ...nothing };
}

export interface RoundContext {
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly memory: Memory;
  readonly wanted: () => Wanted;
  /** Another number whenever the kernel may have changed without us. */
  readonly stamp: () => number;
  /** Lets the event loop, and other processes, have a turn. */
  readonly pause: () => Promise<void>;
}

interface Task {
  readonly plan: Plan;
  readonly scope: Scope;
  readonly options: DiffOptions;
}

/**
 * What the last look found, if it still holds: a change in the log is then in the kernel without a
 * dump before it. The dump that verifies it comes in any case, and finds what was missed.
 */
function knownKernel({ memory, stamp }: RoundContext, scope: Scope): KernelState | null {
  const { known } = memory;
  if (known === null || known.scope !== JSON.stringify(scope)) return null;
  return known.stamp === stamp() || isStarting(memory) ? known.kernel : null;
}

/**
 * Overtaken before any round was verified: what stirs are mostly echoes of the device just made,
 * and there is no drift to tell yet. The look that ends the burst finds what else it was.
 */
function isStarting({ verified, unverifiedSinceMs }: Memory): boolean {
  return verified === null && unverifiedSinceMs !== null;
}

async function look({ kernel, memory, stamp }: RoundContext, scope: Scope): Promise<KernelState> {
  memory.known = null;
  const before = stamp();
  const found = await kernel.observe(scope);
  memory.known = { kernel: found, scope: JSON.stringify(scope), stamp: before };
  return found;
}

/**
 * The plan after a look: what the kernel was answered until then is in both. That is no change in
 * the log, for which there will be another round.
 */
function latest({ wanted }: RoundContext, plan: Plan): Plan {
  const { plan: now } = wanted();
  return now?.seq === plan.seq ? now : plan;
}

/**
 * Runs one round. Null when the log moved on before it was verified: nothing may be said of it, and
 * another has to follow. Throws what `kernel.observe` throws.
 */
export async function runRound(
  context: RoundContext,
  plan: Plan,
  prune: boolean,
  scope: Scope,
): Promise<Round | null> {
  const { clock, memory } = context;
  const startMs = clock.nowMs();
  const have = knownKernel(context, scope) ?? (await look(context, scope));
  const { known: seen } = memory;
  const options: DiffOptions = { fabric: plan.fabric, prune };
  const task: Task = { plan: latest(context, plan), scope, options };
  const ops = diff(task.plan.kernel, have, task.options);
  forget(memory.retries, ops);
  noteDrift(memory, have, ops);
  const attempt: Attempt = { atMs: clock.nowMs(), tried: [], waiting: new Set() };
  const rest = await attemptAll(context, task, ops, attempt).catch((error: unknown) => {
    touch(memory, attempt);
    throw error;
  });
  if (rest === null) {
    touch(memory, attempt);
    touchUnwanted(memory, task);
    memory.unverifiedSinceMs ??= startMs;
    const kernel = seen && withAdded(seen.kernel, attempt.tried);
    memory.known = seen && kernel && { ...seen, kernel };
    return null;
  }
  memory.unverifiedSinceMs = null;
  forget(memory.retries, rest);
  const { known } = memory;
  if (rest.length === 0 && known !== null) {
    memory.known = { ...known, kernel: shared(plan.kernel, known.kernel) };
  }
  const healed = takeHealed(memory, rest);
  const clean = rest.every((op) => memory.retries.has(idOf(op)) || attempt.waiting.has(idOf(op)));
  if (clean) settle(memory, task, attempt.waiting);
  else touch(memory, attempt);
  return {
    seq: plan.seq,
    ops: attempt.tried.length,
    drift: healed.slice(0, DRIFT_MAX),
    driftCount: healed.length,
    failures: failuresOf(memory.retries, plan),
    clean,
    pending: pendingOf(memory, rest),
    pendingCount: rest.length,
    retryAtMs: nextDue(memory.retries, attempt.atMs),
    error: null,
    tookMs: clock.nowMs() - startMs,
  };
}

function pendingOf({ retries }: Memory, rest: readonly Op[]): readonly Pending[] {
  return rest
    .slice(0, PENDING_MAX)
    .map((op) => ({ op, error: retries.get(idOf(op))?.message ?? null }));
}

interface Attempt {
  readonly atMs: number;
  /** Sent to the kernel, whatever came of it. */
  readonly tried: Op[];
  /** Not sent, because something that they need is missing. */
  readonly waiting: Set<string>;
}

/** Applies `ops` and returns what is still to be done; null when the next round is to say that. */
async function attemptAll(
  context: RoundContext,
  task: Task,
  ops: readonly Op[],
  attempt: Attempt,
): Promise<readonly Op[] | null> {
  await applyAll(context, task, ops, attempt);
  const { unverifiedSinceMs } = context.memory;
  if (attempt.tried.length === 0 && unverifiedSinceMs === null) return ops;
  // Others on this machine may still be about to apply the same event: the dump can wait a moment.
  await context.pause();
  return isOvertaken(context, task, attempt) ? null : await verify(context, task, attempt);
}

/** The log moved on and all went well: the look after the next round verifies this one too. */
function isOvertaken(
  { wanted, memory, clock }: RoundContext,
  { plan }: Task,
  { waiting }: Attempt,
): boolean {
  const { retries, unhealed, unverifiedSinceMs } = memory;
  if (retries.size > 0 || unhealed.size > 0 || waiting.size > 0) return false;
  const nowMs = clock.nowMs();
  if (nowMs - (unverifiedSinceMs ?? nowMs) >= UNVERIFIED_MS_MAX) return false;
  const { plan: now } = wanted();
  return now !== null && now.seq !== plan.seq;
}

async function applyAll(
  context: RoundContext,
  task: Task,
  ops: readonly Op[],
  attempt: Attempt,
): Promise<void> {
  const { memory, clock } = context;
  const obstacles = noObstacles();
  const peerOf = (op: Op): string | undefined => task.plan.servedBy.get(idOf(op));
  for (const phase of phasesOf(ops)) {
    // The log may have been found damaged meanwhile: then no further op, least of all a removal.
    const now = context.wanted();
    if (now.plan === null) break;
    const ready: Op[] = [];
    for (const op of phase) {
      if (op.verb === "del" && !now.prune) continue;
      // The log may also have moved on: what it has since taken back is the next round's matter.
      if (now.plan !== task.plan && wants(now.plan, op) !== (op.verb === "set")) continue;
      const refusal = refusalOf(op);
      if (mustWait(op, peerOf, obstacles)) attempt.waiting.add(idOf(op));
      else if (isHeld(memory.retries, op, attempt.atMs)) attempt.waiting.add(idOf(op));
      else if (refusal !== null) fail(memory.retries, op, clock.nowMs(), refusal);
      else {
        ready.push(op);
        continue;
      }
      obstruct(op, peerOf(op), obstacles);
    }
    for (const op of await applyPhase(context, ready, attempt)) obstruct(op, peerOf(op), obstacles);
  }
}

function wants(plan: Plan, { noun, key }: Op): boolean {
  return plan.kernel[mapOf[noun]].has(key);
}

/** Applies `ops` and returns those that failed. */
async function applyPhase(
  { kernel, clock, memory }: RoundContext,
  ops: readonly Op[],
  attempt: Attempt,
): Promise<Op[]> {
  if (ops.length === 0) return [];
  for (const op of ops) attempt.tried.push(op);
  memory.known = null;
  const outcomes = await kernel.apply(ops);
  return ops.filter((op, i) => {
    const outcome = outcomes[i];
    if (outcome?.ok) return false;
    fail(memory.retries, op, clock.nowMs(), outcome?.message ?? "the kernel gave no answer");
    return true;
  });
}

/** What is still not as wanted. An op that was accepted and changed nothing counts as failed. */
async function verify(context: RoundContext, task: Task, attempt: Attempt): Promise<readonly Op[]> {
  const { clock, memory } = context;
  const have = await look(context, task.scope);
  const rest = diff(latest(context, task.plan).kernel, have, task.options);
  if (rest.length === 0) return rest;
  const tried = new Set(attempt.tried.map(idOf));
  for (const op of rest) {
    const id = idOf(op);
    if (!tried.has(id) || isHeld(memory.retries, op, clock.nowMs())) continue;
    const { problem, found } = driftOf(op);
    fail(
      memory.retries,
      op,
      clock.nowMs(),
      `accepted, yet still ${problem}${found === null ? "" : `: ${found}`}`,
    );
  }
  return rest;
}

function noteDrift(memory: Memory, have: KernelState, ops: readonly Op[]): void {
  const { verified, unhealed } = memory;
  if (unhealed.size > 0) {
    const open = new Set(ops.map(idOf));
    for (const id of unhealed.keys()) if (!open.has(id)) unhealed.delete(id);
  }
  if (verified === null || ops.length === 0) return;
  const since = diff(verified.kernel, have, verified.options);
  const changed = new Map(since.map((op) => [idOf(op), op.verb]));
  for (const op of ops) {
    const id = idOf(op);
    if (changed.get(id) !== op.verb || memory.touched.has(id) || memory.retries.has(id)) continue;
    if (!isImplied(op)) unhealed.set(id, driftOf(op));
  }
}

/** Set again only because its device has to be made anew: nobody changed it. */
function isImplied(op: Op): boolean {
  if (op.verb === "del" || op.found === null) return false;
  const { same } = nouns[op.noun] as NounRules<NounTypes[Op["noun"]]>;
  return same(op.object, op.found);
}

function takeHealed(memory: Memory, rest: readonly Op[]): DriftItem[] {
  if (memory.unhealed.size === 0) return [];
  const open = new Set(rest.map(idOf));
  const healed: DriftItem[] = [];
  for (const [id, item] of memory.unhealed) {
    if (open.has(id)) continue;
    healed.push(item);
    memory.unhealed.delete(id);
  }
  return healed;
}

/** What waits was never there: that it is missing is no drift when its turn comes. */
function settle(memory: Memory, { plan, options }: Task, waiting: ReadonlySet<string>): void {
  memory.verified = { kernel: plan.kernel, options };
  memory.touched.clear();
  for (const id of waiting) memory.touched.add(id);
}

/** Only of a round that did not end well: of 10 000 routes that did, nothing need be remembered. */
function touch({ touched }: Memory, { tried }: Attempt): void {
  for (const op of tried) touched.add(idOf(op));
}

/** What was verified and the log has taken back is gone, maybe with its device: nobody's doing. */
function touchUnwanted({ verified, touched }: Memory, { plan }: Task): void {
  if (verified === null) return;
  for (const noun of upwards) {
    const { same } = nouns[noun] as NounRules<NounTypes[Noun]>;
    const wanted: ReadonlyMap<string, NounTypes[Noun]> = plan.kernel[mapOf[noun]];
    for (const [key, object] of verified.kernel[mapOf[noun]]) {
      const now = wanted.get(key);
      if (now === undefined || !same(now, object)) touched.add(idOf({ noun, key }));
    }
  }
}

export function failuresOf(retries: Retries, plan: Plan): Failures {
  const failures = new Map<string | null, string>();
  for (const [id, { op, message }] of retries) {
    const who = plan.servedBy.get(id) ?? null;
    if (!failures.has(who)) failures.set(who, complaint(op, message));
  }
  return failures;
}
