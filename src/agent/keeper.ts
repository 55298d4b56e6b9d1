// What a node should say next, from what the log says about it: join, update, claim, renew, and the
// expiry of others' leases. Pure and level-triggered like the reconciler: it looks at where things
// stand, so a lost answer, a lost race, a revocation and a restart are all the same case.

import type { Cidr } from "../events/address.ts";
import { type Command, decide } from "../events/decide.ts";
import type { Member } from "../events/event.ts";
import { fnv1a64 } from "../events/hash.ts";
import type { FabricState, Lease, Node } from "../events/state.ts";
import { sameMember } from "./member.ts";

export interface Self {
  readonly node: string;
  readonly instance: string;
  /** What there is to announce, or why there is nothing. */
  readonly member: Member | { readonly reason: string };
  /** The log holds an accepted NodeJoined of this process. */
  readonly joined: boolean;
  /** How long the log has been followed without a break. */
  readonly followedForMs: number;
  /** Subnets it held under a log that was given up: asked for again where they are free. */
  readonly former: readonly Cidr[];
  readonly ttlSeconds: number;
  /** How long before the end of its lease a node renews it. */
  readonly marginSeconds: number;
}

export type Step =
  | { readonly kind: "do"; readonly command: Command }
  /** Nothing to say; look again when the log changes, or at log time `atMs`. */
  | { readonly kind: "wait"; readonly problem: string | null; readonly atMs: number | null }
  /** This agent must not go on. */
  | { readonly kind: "end"; readonly reason: string };

/** Expiry is proposed by the quickest of many; the spread keeps the others from asking too. */
const EXPIRY_SPREAD_MS = 500;
/**
 * After the log was away nobody's lease is proposed for expiry at once: its holder could not
 * renew it either, and comes back to the log within this. An outage of the log alone withdraws
 * nothing.
 */
const EXPIRY_GRACE_MS = 15_000;

export function nextStep(state: Readonly<FabricState>, self: Self, logNowMs: number): Step {
  const { member } = self;
  if (state.config === null) return wait("the fabric has no configuration: run heddle init");
  const membership = "reason" in member ? wait(member.reason) : stepToJoin(state, self, member);
  const mine = self.joined && state.nodes.get(self.node)?.instance === self.instance;
  const lease = mine ? state.leases.get(self.node) : undefined;
  if (membership !== null && (membership.kind !== "wait" || lease === undefined)) return membership;
  if (lease === undefined) {
    const { node, ttlSeconds, former } = self;
    return attempt(state, { type: "Claim", node, ttlSeconds, former });
  }
  const keep = stepToKeep(state, self, lease, logNowMs);
  // Whoever cannot say how to reach it now must not lose its subnet over that.
  return keep.kind === "wait" && membership?.kind === "wait"
    ? { ...keep, problem: membership.problem }
    : keep;
}

function stepToJoin(state: Readonly<FabricState>, self: Self, member: Member): Step | null {
  const known: Node | undefined = state.nodes.get(self.node);
  if (!self.joined) return firstJoin(state, member);
  if (known?.present !== true) return attempt(state, { type: "Join", member });
  if (known.instance !== self.instance) {
    return { kind: "end", reason: `the name ${self.node} was taken over by ${known.instance}` };
  }
  if (!sameMember(known, member)) return attempt(state, { type: "Update", member });
  return null;
}

/** A clash at the first join is a mistake in the set-up of this host: it ends the agent. */
function firstJoin(state: Readonly<FabricState>, member: Member): Step {
  const command: Command = { type: "Join", member };
  const decision = decide(state, command);
  return decision.ok ? { kind: "do", command } : { kind: "end", reason: decision.reason };
}

function stepToKeep(
  state: Readonly<FabricState>,
  self: Self,
  lease: Lease,
  logNowMs: number,
): Step {
  const { node, ttlSeconds, marginSeconds } = self;
  const renewAtMs = lease.renewedMs + (ttlSeconds - marginSeconds) * 1000;
  if (logNowMs >= renewAtMs || lease.ttlSeconds !== ttlSeconds) {
    return attempt(state, { type: "Renew", node, ttlSeconds });
  }
  let atMs = renewAtMs;
  for (const other of state.leases.values()) {
    if (other.node === node) continue;
    if (logNowMs < other.expiresMs) {
      atMs = Math.min(atMs, other.expiresMs);
      continue;
    }
    const graceMs = Math.min(EXPIRY_GRACE_MS, other.ttlSeconds * 1000);
    const fairMs = Math.max(other.expiresMs, logNowMs - self.followedForMs + graceMs);
    const dueMs = fairMs + spreadMs(node, other);
    if (logNowMs >= dueMs) return attempt(state, { type: "Expire", node, owner: other.node });
    atMs = Math.min(atMs, dueMs);
  }
  return { kind: "wait", problem: null, atMs };
}

function spreadMs(node: string, lease: Lease): number {
  return Number(fnv1a64(`${node} ${lease.node} ${lease.epoch}`) % BigInt(EXPIRY_SPREAD_MS));
}

function attempt(state: Readonly<FabricState>, command: Command): Step {
  const decision = decide(state, command);
  return decision.ok ? { kind: "do", command } : wait(decision.reason);
}

function wait(problem: string): Step {
  return { kind: "wait", problem, atMs: null };
}
