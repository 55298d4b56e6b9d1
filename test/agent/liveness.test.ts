import { describe, expect, test } from "bun:test";
import { aliveElsewhere, GONE_MS } from "../../src/agent/liveness.ts";
import { LogError } from "../../src/events/log.ts";
import type { StatusBoard } from "../../src/events/status-board.ts";
import { MemoryLog } from "../support/log-memory.ts";
import { manualClock } from "../support/manual-clock.ts";

const entry = (instance: string, state = "ready") =>
  new TextEncoder().encode(JSON.stringify({ instance, state }));

function given() {
  const clock = manualClock();
  const board = new MemoryLog(clock).client().status;
  const stop = new AbortController();
  const asked: { answer: string | null | undefined } = { answer: undefined };
  const ask = (of: StatusBoard = board) => {
    const question = { board: of, clock, node: "h1", instance: "me", signal: stop.signal };
    void aliveElsewhere(question).then((answer) => {
      asked.answer = answer;
    });
  };
  return { clock, board, stop, asked, ask };
}

describe("another agent of the name", () => {
  test("is alive when its entry moves on while it is looked at", async () => {
    const { clock, board, asked, ask } = given();
    await board.publish("h1", entry("other"));
    ask();
    await clock.advance(1900);
    expect(asked.answer).toBeUndefined();
    await board.publish("h1", entry("other"));
    await clock.advance(500);
    expect(asked.answer).toBe("the name h1 is in use by a live agent (instance other)");
  });

  test("is gone when its entry stands still, however young it is", async () => {
    const { clock, board, asked, ask } = given();
    await board.publish("h1", entry("other"));
    ask();
    await clock.advance(GONE_MS - 1);
    expect(asked.answer).toBeUndefined();
    await clock.advance(1000);
    expect(asked.answer).toBeNull();
    expect(clock.pending).toBe(0);
  });

  test.each([
    ["there is no entry", null],
    ["the entry is our own", entry("me")],
    ["the entry is no agent's", new TextEncoder().encode("?")],
    ["the entry is of another shape", new TextEncoder().encode('{"instance":7}')],
  ])("is gone when it does not show itself and %s", async (_, payload) => {
    const { clock, board, asked, ask } = given();
    await board.publish("h2", entry("other"));
    if (payload !== null) await board.publish("h1", payload);
    ask();
    await clock.advance(GONE_MS - 1);
    expect(asked.answer).toBeUndefined();
    await clock.advance(1000);
    expect(asked.answer).toBeNull();
  });

  test("is alive when its first entry comes while it is looked for", async () => {
    const { clock, board, asked, ask } = given();
    ask();
    await clock.advance(900);
    await board.publish("h1", entry("other"));
    await clock.advance(500);
    expect(asked.answer).toBe("the name h1 is in use by a live agent (instance other)");
  });

  test("is not waited for when it said that it stops", async () => {
    const { clock, board, asked, ask } = given();
    await board.publish("h1", entry("other", "stopping"));
    ask();
    await clock.advance(0);
    expect(asked.answer).toBeNull();
  });

  test("is not waited for any longer when it stops meanwhile", async () => {
    const { clock, board, asked, ask } = given();
    await board.publish("h1", entry("other"));
    ask();
    await clock.advance(1000);
    await board.publish("h1", entry("other", "stopping"));
    await clock.advance(500);
    expect(asked.answer).toBeNull();
  });
});

test("without the board nobody is known to be alive: the log decides", async () => {
  const { clock, board, asked, ask } = given();
  const list = () => Promise.reject(new LogError("unreachable", "no answer"));
  ask({ ...board, list });
  await clock.advance(GONE_MS + 1000);
  expect(asked.answer).toBeNull();
});

test("the wait ends when the agent is told to stop", async () => {
  const { clock, board, stop, asked, ask } = given();
  await board.publish("h1", entry("other"));
  ask();
  await clock.advance(100);
  stop.abort();
  await clock.advance(0);
  expect(asked.answer).toBeNull();
  expect(clock.pending).toBe(0);
});
