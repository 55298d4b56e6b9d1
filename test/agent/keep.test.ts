// What a node keeps saying when the log does not take it for good.

import { expect, test } from "bun:test";
import { createKeep } from "../../src/agent/keep.ts";
import type { Said } from "../../src/agent/speaker.ts";
import type { Tail } from "../../src/agent/tail.ts";
import type { Draft } from "../../src/events/event.ts";
import type { StatusBoard } from "../../src/events/status-board.ts";
import { history } from "../support/history.ts";
import { manualClock } from "../support/manual-clock.ts";

test("an event that is quarantined is said again once a second at most, and told", async () => {
  const clock = manualClock();
  const story = history("t").config({ Network: "10.5.0.0/16" }).join("h1");
  const known = story.state().nodes.get("h1");
  if (known === undefined) throw new Error("no h1");
  const view = { caughtUp: true, damage: null, connected: true, followedSinceMs: 0 };
  const said: Draft["type"][] = [];
  const problems = new Set<string | null>();
  let verdict: Extract<Said, { ok: true }>["verdict"] = { kind: "accepted" };
  const keep = createKeep({
    clock,
    tail: { state: () => story.state(), view: () => view, logNowMs: () => 0 } as unknown as Tail,
    board: { list: async () => [] } as unknown as StatusBoard,
    speaker: {
      say: async (draft) => {
        said.push(draft.type);
        if (said.length > 100) throw new Error("it floods the log");
        const answer = { ok: true, seq: said.length, verdict } as const;
        verdict = { kind: "quarantined", reason: "underlay.mtu: Too big" };
        return answer;
      },
      heard: () => undefined,
    },
    self: () => ({
      node: "h1",
      instance: known.instance,
      member: { ...known, version: "other" },
      former: [],
      ttlSeconds: 60,
      marginSeconds: 20,
    }),
    silent: () => false,
    onProblem: (problem) => problems.add(problem),
    onEnd: (reason) => {
      throw new Error(reason);
    },
  });
  const stop = new AbortController();
  const running = keep.run(stop.signal);
  await clock.advance(10_000);
  stop.abort();
  await running;
  expect(said[0]).toBe("NodeJoined");
  expect(new Set(said.slice(1))).toEqual(new Set(["NodeUpdated"]));
  expect(said.length).toBeLessThan(15);
  expect(problems).toContain("NodeUpdated was refused: underlay.mtu: Too big");
});
