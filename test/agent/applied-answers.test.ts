// When a host answers "who has applied this?".

import { beforeEach, expect, test } from "bun:test";
import { type AppliedAnswers, createAppliedAnswers } from "../../src/agent/applied-answers.ts";
import type { AppliedQuestion, Inquiry } from "../../src/events/inquiry.ts";
import { type ManualClock, manualClock } from "../support/manual-clock.ts";

let clock: ManualClock;
let answers: AppliedAnswers;
let said: string[];
let hear: (question: AppliedQuestion) => void;
let isOurs: boolean;

beforeEach(() => {
  clock = manualClock();
  said = [];
  isOurs = true;
  const unused = (): never => {
    throw new Error("not used");
  };
  const inquiry: Inquiry = {
    ask: unused,
    answers: unused,
    answer: (id, { node, applied, reason }) => void said.push(`${id} ${node} ${applied} ${reason}`),
    listen: async (onQuestion) => {
      hear = onQuestion;
    },
  };
  answers = createAppliedAnswers({
    ...{ inquiry, clock, node: "h1", mayAnswer: () => isOurs },
    reason: () => "degraded: no lease",
  });
  void answers.run(new AbortController().signal);
});

const asked = (id: string, seq: number, waitMs = 1000): void => hear({ id, seq, waitMs });

test("what is applied is answered at once, what is not as soon as it is", () => {
  answers.applied(5);
  asked("a", 5);
  asked("b", 6);
  asked("c", 7);
  expect(said).toEqual(["a h1 5 null"]);
  answers.applied(6);
  answers.applied(7);
  expect(said).toEqual(["a h1 5 null", "b h1 6 null", "c h1 7 null"]);
});

test("when the asker's time is up the reason is told, once", async () => {
  answers.applied(5);
  asked("a", 6, 300);
  await clock.advance(299);
  expect(said).toEqual([]);
  await clock.advance(1);
  expect(said).toEqual(["a h1 5 degraded: no lease"]);
  answers.applied(6);
  expect(said).toHaveLength(1);
});

test("a question asked again counts once, with the later end", async () => {
  asked("a", 6, 300);
  await clock.advance(200);
  asked("a", 6, 300);
  await clock.advance(250);
  expect(said).toEqual([]);
  answers.applied(6);
  expect(said).toEqual(["a h1 6 null"]);
  expect(clock.pending).toBe(0);
});

test("a flood of questions is answered as things are, and memory is bounded", () => {
  for (let i = 0; i < 300; i++) asked(`q${i}`, 9);
  expect(said).toHaveLength(300 - 256);
  expect(clock.pending).toBe(256);
  answers.applied(9);
  expect(said).toHaveLength(300);
  expect(clock.pending).toBe(0);
});

test("an agent whose name another instance has says nothing", () => {
  isOurs = false;
  answers.applied(9);
  asked("a", 5);
  expect(said).toEqual([]);
});
