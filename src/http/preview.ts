// What a change would do: events folded onto a copy of the state, and for each host the operations
// between its plan before and after. Nothing is appended.

import { isDeepStrictEqual } from "node:util";
import { encode } from "../events/codec.ts";
import type { Draft } from "../events/event.ts";
import { fold } from "../events/fold.ts";
import { decodeState, encodeState } from "../events/snapshot.ts";
import type { FabricState } from "../events/state.ts";
import { subjectOf } from "../events/subject.ts";
import type { Verdict } from "../events/verdict.ts";
import { desired } from "../reconcilers/desired.ts";
import { type HostOp, hostDiff } from "./host-diff.ts";

export interface HostPreview {
  readonly node: string;
  readonly problems: readonly string[];
  readonly ops: readonly HostOp[];
}

export interface Preview {
  readonly seq: number;
  readonly events: { readonly type: Draft["type"]; readonly verdict: Verdict }[];
  /** Hosts that would have something to do, or other problems than now. */
  readonly hosts: HostPreview[];
}

type State = Readonly<FabricState>;

/** Lets others have their turn between two hosts. Of `nodes`, or of all that are present. */
export async function preview(
  before: State,
  drafts: readonly Draft[],
  nodes: readonly string[] | null,
): Promise<Preview> {
  const after = decodeState(encodeState(before));
  const events = drafts.map((draft, i) => ({
    type: draft.type,
    verdict: foldDraft(after, draft, i),
  }));
  const hosts: HostPreview[] = [];
  if (after.changedSeq !== before.changedSeq) {
    for (const node of nodes ?? presentIn(before, after)) {
      const host = previewHost(before, after, node);
      if (host !== null) hosts.push(host);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  return { seq: before.seq, events, hosts };
}

/** In the very form in which the log would hold it, at the time of the last record. */
function foldDraft(state: FabricState, draft: Draft, index: number): Verdict {
  const record = {
    seq: state.seq + 1,
    timeMs: state.timeMs,
    subject: subjectOf(state.fabric, draft),
    payload: encode(draft, `preview-${index}`),
  };
  return fold(state, record).verdict;
}

function presentIn(before: State, after: State): readonly string[] {
  const names = [...before.nodes.values(), ...after.nodes.values()]
    .filter(({ present }) => present)
    .map(({ node }) => node);
  return [...new Set(names)];
}

function previewHost(before: State, after: State, node: string): HostPreview | null {
  if (!after.nodes.has(node)) return null;
  const ops = hostDiff(before, after, node);
  const { problems } = desired(after, node);
  const same = isDeepStrictEqual(problems, desired(before, node).problems);
  return ops.length === 0 && same ? null : { node, problems, ops };
}
