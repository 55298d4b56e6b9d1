import { describe, expect, test } from "bun:test";
import { createSpeaker, type Said } from "../../src/agent/speaker.ts";
import { encode } from "../../src/events/codec.ts";
import type { Draft } from "../../src/events/event.ts";
import type { Append } from "../../src/events/log.ts";
import { subjectOf } from "../../src/events/subject.ts";
import { accepted, lost } from "../../src/events/verdict.ts";
import { MemoryLog } from "../support/log-memory.ts";
import { manualClock } from "../support/manual-clock.ts";

const left: Draft = { type: "NodeLeft", data: { node: "h1", reason: "" } };
const over: Draft = {
  type: "LeaseExpired",
  data: { node: "h1", owner: "h2", epoch: 3, subnets: ["10.5.2.0/24"] },
};

function given() {
  const clock = manualClock();
  const memory = new MemoryLog(clock);
  const client = memory.client();
  const appends: Append[] = [];
  const log = {
    ...client.log,
    append: (message: Append) => {
      appends.push(message);
      return client.log.append(message);
    },
  };
  let ids = 0;
  const speaker = createSpeaker({ log, clock, fabric: "t", newId: () => `new-${++ids}` });
  const hear = async (seq: number, verdict = accepted) => {
    const record = await client.log.get(seq);
    if (record === null) throw new Error(`no record ${seq}`);
    speaker.heard(record, verdict);
  };
  const say = (draft: Draft) => {
    const result: { said?: Said } = {};
    void speaker.say(draft).then((said) => {
      result.said = said;
    });
    return result;
  };
  const other = (draft: Draft, id: string) =>
    log.append({ subject: subjectOf("t", draft), payload: encode(draft, "x"), id });
  return { clock, memory, client, appends, speaker, hear, say, other };
}

test("what became of an event is what the fold says, when the own tail has passed it", async () => {
  const { clock, appends, hear, say } = given();
  const result = say(left);
  await clock.advance(100);
  expect(result.said).toBeUndefined();
  await hear(1, lost("too late"));
  await clock.advance(0);
  expect(result.said).toEqual({ ok: true, seq: 1, verdict: lost("too late") });
  expect(appends.map(({ subject, id }) => [subject, id])).toEqual([
    ["heddle.t.node.h1.member", "new-1"],
  ]);
  expect(clock.pending).toBe(0);
});

test("a tail that is quicker than the log's own answer is not missed", async () => {
  const { clock, client, hear, say } = given();
  const { append } = client.log;
  client.log.append = async (message) => {
    const stored = await append(message);
    await hear(1);
    return stored;
  };
  const result = say(left);
  await clock.advance(0);
  expect(result.said).toMatchObject({ ok: true, seq: 1 });
});

test("an acknowledged event that does not come back is told after a while", async () => {
  const { clock, say } = given();
  const result = say(left);
  await clock.advance(4999);
  expect(result.said).toBeUndefined();
  await clock.advance(1);
  expect(result.said).toEqual({ ok: false, reason: "sequence 1 did not come back" });
});

test("a sequence that was lost and given out again is no answer", async () => {
  const { clock, memory, hear, say, other } = given();
  const result = say(left);
  await clock.advance(0);
  memory.loseTail(1);
  await other({ ...left, data: { node: "h2", reason: "" } }, "other");
  await hear(1);
  await clock.advance(0);
  expect(result.said).toEqual({ ok: false, reason: "sequence 1 was lost and is another's now" });
});

test("a log that cannot be reached is a reason, not an exception", async () => {
  const { clock, client, say } = given();
  client.partition(true);
  const result = say(left);
  await clock.advance(0);
  expect(result.said).toEqual({ ok: false, reason: "partitioned" });
});

describe("the expiry of one lease", () => {
  test("is stored once, whoever proposes it, and all hear the same", async () => {
    const { clock, appends, hear, say, other } = given();
    const first = say(over);
    await clock.advance(0);
    const id = appends[0]?.id ?? "";
    expect(await other({ ...over, data: { ...over.data, node: "h9" } }, id)).toEqual({
      ok: true,
      seq: 1,
      duplicate: true,
    });
    await hear(1);
    await clock.advance(0);
    expect(first.said).toEqual({ ok: true, seq: 1, verdict: accepted });
    expect(id).toBe("expire-h2-3-0");
  });

  test("that was proposed in vain is proposed anew, not swallowed as a duplicate", async () => {
    const { clock, hear, say, appends } = given();
    const first = say(over);
    await clock.advance(0);
    await hear(1, lost("it was renewed"));
    await clock.advance(0);
    expect(first.said).toMatchObject({ verdict: { kind: "void" } });
    const second = say(over);
    await clock.advance(0);
    expect(second.said).toEqual({ ok: false, reason: "said before, at sequence 1" });
    const third = say(over);
    await clock.advance(0);
    await hear(2);
    await clock.advance(0);
    expect(third.said).toEqual({ ok: true, seq: 2, verdict: accepted });
    expect(new Set(appends.map(({ id }) => id)).size).toBe(2);
  });
});

test("two things said at once each get their own verdict", async () => {
  const { clock, hear, say } = given();
  const one = say(left);
  const two = say({ ...left, data: { node: "h2", reason: "" } });
  await clock.advance(0);
  await hear(1, lost("x"));
  await hear(2);
  await clock.advance(0);
  expect([one.said, two.said]).toEqual([
    { ok: true, seq: 1, verdict: lost("x") },
    { ok: true, seq: 2, verdict: accepted },
  ]);
});
