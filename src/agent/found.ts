// What a host found in its kernel when it last looked, beside what the log wants there: the answer
// to a person who asks one host. Pure.

import type { DriftItem } from "../events/event.ts";
import { describe, driftOf } from "../reconcilers/describe.ts";
import type { Round } from "../reconcilers/loop.ts";
import type { AgentPhase } from "./status.ts";
import { type Parts, phaseOf } from "./status-view.ts";

export interface Difference extends DriftItem {
  /** What would put it right: an ip, bridge, sysctl or nft command. */
  readonly command: string;
  /** Why that failed when it was last tried; null when it was not tried. */
  readonly error: string | null;
}

export interface Healed {
  /** Log time, ISO 8601; null while the log's time was not known. */
  readonly time: string | null;
  readonly count: number;
  readonly items: readonly DriftItem[];
}

export interface Found {
  readonly node: string;
  readonly state: AgentPhase;
  readonly problems: readonly string[];
  /** Last sequence that is applied. */
  readonly applied: number;
  /** Sequence of the plan that the kernel was last compared with; null before the first time. */
  readonly planned: number | null;
  /** Nothing differs and nothing failed. */
  readonly asWanted: boolean;
  /** Some of them; `differenceCount` says how many there are. */
  readonly differences: readonly Difference[];
  readonly differenceCount: number;
  /** Why the kernel could not be read, or null. */
  readonly error: string | null;
  /** Peers that could not be programmed, some of them; the node itself for what is its own. */
  readonly failed: readonly { readonly node: string; readonly error: string }[];
  /** What was last put right after somebody else had changed it; null if nothing ever was. */
  readonly healed: Healed | null;
}

const FAILED_MAX = 100;
const PROBLEMS_MAX = 32;
/** A ruleset's text may be long; an answer of 64 such stays below what one message may hold. */
const TEXT_MAX = 2048;

export function foundOf(parts: Parts, healed: Healed | null): Found {
  const { node, round, plan, problems, appliedSeq } = parts;
  const planned = (plan?.peers ?? []).flatMap(({ node: peer, error }) =>
    error === null ? [] : [{ node: peer, error: clip(error) }],
  );
  const failures = Array.from(round?.failures ?? [], ([peer, error]) => ({
    node: peer ?? node,
    error: clip(error),
  }));
  const failed = [...failures, ...planned].slice(0, FAILED_MAX);
  const differenceCount = round?.pendingCount ?? 0;
  const error = round?.error ?? null;
  return {
    node,
    state: phaseOf(parts),
    problems: problems.slice(0, PROBLEMS_MAX).map(clip),
    applied: appliedSeq,
    planned: round?.seq ?? null,
    asWanted: round !== null && error === null && differenceCount === 0 && failed.length === 0,
    differences: (round?.pending ?? []).map(differenceOf),
    differenceCount,
    error: error === null ? null : clip(error),
    failed,
    healed,
  };
}

function differenceOf({ op, error }: Round["pending"][number]): Difference {
  return {
    ...driftOf(op),
    command: clip(describe(op)),
    error: error === null ? null : clip(error),
  };
}

function clip(text: string): string {
  return text.slice(0, TEXT_MAX);
}
