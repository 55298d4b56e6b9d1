// When "every live host has applied it" is true, and what is said when it is not.

import { beforeEach, expect, test } from "bun:test";
import { behindText, type Convergence, converge } from "../../src/agent/converge.ts";
import type { BoardHost } from "../../src/agent/live-hosts.ts";
import {
  type AppliedAnswer,
  type AppliedQuestion,
  type Inquiry,
  QUESTION_MS_MAX,
} from "../../src/events/inquiry.ts";
import { LogError } from "../../src/events/log.ts";
import { type ManualClock, manualClock } from "../support/manual-clock.ts";

let clock: ManualClock;
let hosts: BoardHost[];
let isKnown: boolean;
let changed: () => void;
let questions: AppliedQuestion[];
let reply: ((answer: AppliedAnswer) => void) | null;
let isAway: boolean;

beforeEach(() => {
  clock = manualClock();
  hosts = [];
  isKnown = true;
  changed = () => undefined;
  questions = [];
  reply = null;
  isAway = false;
});

const inquiry: Inquiry = {
  ask: (question) => {
    if (isAway) throw new LogError("unreachable", "away");
    questions.push(question);
  },
  answers: (_, onAnswer) => {
    if (isAway) throw new LogError("unreachable", "away");
    reply = onAnswer;
    return () => {
      reply = null;
    };
  },
  answer: () => undefined,
  listen: () => Promise.resolve(),
};

function show(node: string, applied: number, part: Partial<BoardHost> = {}): void {
  hosts = hosts.filter((host) => host.node !== node);
  hosts.push({ node, applied, state: "ready", problems: [], heardMs: 0, ...part });
  changed();
}

function ask(seq: number, { nodes = 1, waitMs = 10_000 } = {}): Promise<Convergence> {
  const board = {
    live: () => hosts,
    known: () => isKnown,
    onChange: (listener: () => void) => {
      changed = listener;
      return () => undefined;
    },
  };
  const signal = new AbortController().signal;
  return converge({ board, inquiry, clock, newId: () => "id" }, { seq, nodes, waitMs }, signal);
}

test("when the board says so already nobody is asked", async () => {
  show("h1", 9);
  show("h2", 10);
  expect(await ask(9)).toMatchObject({ done: true, hosts: [{ node: "h1" }, { node: "h2" }] });
  expect(questions).toEqual([]);
});

test("answers of the hosts count before the board's next word", async () => {
  show("h1", 3);
  show("h2", 3);
  const asking = ask(9);
  await clock.advance(1);
  expect(questions).toEqual([{ id: "id", seq: 9, waitMs: 9800 }]);
  reply?.({ node: "h1", applied: 9, reason: null });
  reply?.({ node: "h2", applied: 9, reason: null });
  await clock.advance(0);
  expect(await asking).toMatchObject({ done: true, behind: [] });
  expect(reply).toBeNull();
});

test("who does not answer is seen on the board, who only answers is live", async () => {
  show("old", 3);
  const asking = ask(9, { nodes: 2 });
  await clock.advance(1);
  reply?.({ node: "new", applied: 9, reason: null });
  await clock.advance(1);
  show("old", 9);
  await clock.advance(1);
  expect((await asking).hosts.map(({ node }) => node)).toEqual(["new", "old"]);
});

test("at the end of the wait everybody who is behind is named with the reason", async () => {
  show("h1", 9);
  show("h2", 3);
  show("h3", 4, { state: "frozen", problems: ["the stream is gone"] });
  show("h4", 4);
  const asking = ask(9, { waitMs: 2000 });
  await clock.advance(1);
  reply?.({ node: "h2", applied: 5, reason: "degraded: no lease" });
  await clock.advance(2000);
  const { done, hosts: reached, behind } = await asking;
  expect([done, reached]).toEqual([false, [{ node: "h1", applied: 9 }]]);
  expect(behind.map(behindText)).toEqual([
    "h2 is at 5 (degraded: no lease)",
    "h3 is at 4 (frozen: the stream is gone)",
    "h4 is at 4",
  ]);
});

test("too few live hosts, or a board not read yet, is not everybody", async () => {
  show("h1", 9);
  isKnown = false;
  const asking = ask(9, { nodes: 2, waitMs: 3000 });
  await clock.advance(1000);
  isKnown = true;
  changed();
  await clock.advance(1000);
  show("h2", 9);
  await clock.advance(1);
  expect(await asking).toMatchObject({ done: true });
});

test("while the server is away it is asked again", async () => {
  show("h1", 3);
  isAway = true;
  const asking = ask(9);
  await clock.advance(1500);
  isAway = false;
  await clock.advance(1000);
  expect(questions.length).toBeGreaterThan(0);
  reply?.({ node: "h1", applied: 9, reason: null });
  await clock.advance(1);
  expect(await asking).toMatchObject({ done: true });
});

test("whoever waits for hours asks nothing that hosts would not take for a question", async () => {
  const waiting = ask(7, { waitMs: 7_200_000 });
  await clock.advance(0);
  expect(questions).toEqual([{ id: "id", seq: 7, waitMs: QUESTION_MS_MAX }]);
  show("h1", 7);
  expect((await waiting).done).toBe(true);
});
