import { expect, test } from "bun:test";
import { type OfflineStart, watchStart } from "../../src/agent/offline-start.ts";
import { createProblemLog } from "../../src/agent/problem-log.ts";
import { problemsOf, type Symptoms } from "../../src/agent/problems.ts";
import type { TailView } from "../../src/agent/tail.ts";
import { LogError } from "../../src/events/log.ts";
import { desired } from "../../src/reconcilers/desired.ts";
import { history } from "../support/history.ts";
import { manualClock } from "../support/manual-clock.ts";

const away: TailView = {
  seq: 0,
  head: 0,
  caughtUp: false,
  connected: false,
  followedSinceMs: null,
  damage: null,
  trouble: new LogError("unreachable", "connection refused"),
  server: null,
};

function given(part: Partial<OfflineStart> = {}) {
  const clock = manualClock();
  const seen = { view: away, snapshot: 0, gaveUp: [] as string[] };
  const quiet = () => undefined;
  const start: OfflineStart = {
    clock,
    logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    hasSnapshot: false,
    view: () => seen.view,
    onSnapshot: () => {
      seen.snapshot++;
    },
    onGiveUp: async (reason) => {
      seen.gaveUp.push(reason);
    },
    ...part,
  };
  void watchStart(start, new AbortController().signal);
  return { clock, seen };
}

test("without log and snapshot an agent gives up after ten seconds and says why", async () => {
  const { clock, seen } = given();
  await clock.advance(9_999);
  expect(seen.gaveUp).toEqual([]);
  await clock.advance(1);
  expect(seen.gaveUp).toEqual(["connection refused; there is no snapshot to start from"]);
});

test("with a snapshot it goes on from that", async () => {
  const { clock, seen } = given({ hasSnapshot: true });
  await clock.advance(1_500);
  expect(seen.snapshot).toBe(1);
  await clock.advance(60_000);
  expect(seen).toMatchObject({ snapshot: 1, gaveUp: [] });
});

test("an agent that has read the log once never gives up, however long it is away", async () => {
  const { clock, seen } = given();
  seen.view = { ...away, caughtUp: true };
  await clock.advance(60_000);
  expect(seen.gaveUp).toEqual([]);
});

const well: Symptoms = {
  tail: { ...away, connected: true, caughtUp: true, followedSinceMs: 0, trouble: null },
  lostMs: 0,
  plan: null,
  round: null,
  keep: null,
  file: null,
  misses: null,
};

test.each([
  ["nothing is wrong", {}, []],
  ["the log was away for a moment", { tail: { ...away, caughtUp: true }, lostMs: 4999 }, []],
  [
    "the log is away",
    { tail: { ...away, caughtUp: true }, lostMs: 5000 },
    ["log: connection refused"],
  ],
  ["the log is away at start", { tail: away, lostMs: 1500 }, ["log: connection refused"]],
  [
    "there is no log",
    { tail: { ...away, connected: true, trouble: new LogError("missing", "stream not found") } },
    ["the fabric has no log: run heddle init"],
  ],
  [
    "the server cannot keep a log",
    { tail: { ...away, connected: true, trouble: new LogError("unsupported", "too old") } },
    ["log: too old"],
  ],
  [
    "the log is damaged",
    { tail: { ...away, connected: true, damage: "gone", trouble: new LogError("missing", "x") } },
    ["frozen: gone"],
  ],
])("the problems when %s", (_, part, wanted) => {
  expect(problemsOf({ ...well, ...part })).toEqual(wanted);
});

test("a plan may have more problems than a call takes arguments", () => {
  const problems = Array.from({ length: 1_000_000 }, () => "problem");
  const plan = { ...desired(history("t").state(), "h1"), problems };
  expect(problemsOf({ ...well, plan })).toHaveLength(1_000_000);
});

test("a problem is logged once when it begins and once when it is over", () => {
  const lines: string[] = [];
  const note =
    (level: string) =>
    (message: string, fields: object = {}) => {
      lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
    };
  const logger = { debug: note("D"), info: note("I"), warn: note("W"), error: note("E") };
  const log = createProblemLog(logger);
  log.note(["a", "b"]);
  log.note(["b", "a"]);
  log.note(["b"]);
  expect(lines).toEqual([
    'W problem {"reason":"a"}',
    'W problem {"reason":"b"}',
    'I problem over {"reason":"a"}',
  ]);
});
