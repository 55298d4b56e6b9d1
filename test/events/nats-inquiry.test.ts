// Questions to all hosts and their answers over a real server: who answers is what the server
// authenticated, and listening outlives the server.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { connect } from "@nats-io/transport-node";
import type { AppliedAnswer, AppliedQuestion } from "../../src/events/inquiry.ts";
import type { LogConnection } from "../../src/events/log-jetstream.ts";
import { askerAndHost } from "../support/asker-and-host.ts";
import { until } from "../support/fabric.ts";
import type { TestNats } from "../support/nats.ts";

let nats: TestNats;
let asker: LogConnection;
let host: LogConnection;

beforeAll(async () => {
  ({ nats, asker, host } = await askerAndHost({
    publish: "heddle-answer.t.h1.*",
    subscribe: "heddle-ask.t.applied",
  }));
});

afterAll(() => nats.close());

/** Answers to one question asked again and again until there are some. */
async function ask(id: string): Promise<readonly AppliedAnswer[]> {
  const got: AppliedAnswer[] = [];
  await until("connected", 10_000, () => asker.connected() && host.connected());
  const end = asker.inquiry.answers(id, (answer) => got.push(answer));
  await until(`an answer to ${id}`, 10_000, () => {
    if (asker.connected()) asker.inquiry.ask({ id, seq: 7, waitMs: 50 });
    return got.length > 0;
  });
  end();
  return got;
}

test("a host answers for itself and for nobody else", async () => {
  const stop = new AbortController();
  const heard: AppliedQuestion[] = [];
  const listening = host.inquiry.listen((question) => {
    heard.push(question);
    host.inquiry.answer(question.id, { node: "h2", applied: 99, reason: null });
    host.inquiry.answer(question.id, { node: "h1", applied: 5, reason: "late" });
  }, stop.signal);
  const answers = await ask("q1");
  // A question that another test repeated may still come by.
  expect(heard).toContainEqual({ id: "q1", seq: 7, waitMs: 50 });
  expect(new Set(answers.map(({ node }) => node))).toEqual(new Set(["h1"]));
  expect(answers[0]).toEqual({ node: "h1", applied: 5, reason: "late" });
  stop.abort();
  await listening;
});

test("a name with dots comes back whole, and what is no answer is not heard", async () => {
  const stop = new AbortController();
  const listening = asker.inquiry.listen(({ id }) => {
    asker.inquiry.answer(id, { node: "a.example.org", applied: 7, reason: null });
  }, stop.signal);
  await until("connected", 10_000, () => asker.connected());
  const servers = nats.url;
  const stranger = await connect({ servers, user: "admin", pass: "x" });
  const got: AppliedAnswer[] = [];
  const end = asker.inquiry.answers("q2", (answer) => got.push(answer));
  for (const text of ["", "{", '{"applied":-1,"reason":null}', '{"applied":"7"}', "null"]) {
    stranger.publish("heddle-answer.t.h9.q2", text);
    stranger.publish("heddle-ask.t.applied", text);
  }
  stranger.publish("heddle-ask.t.applied", '{"id":"a.b","seq":1,"waitMs":1}');
  await stranger.flush();
  expect((await ask("q3"))[0]?.node).toBe("a.example.org");
  expect(got).toEqual([]);
  end();
  stop.abort();
  await listening;
  await stranger.close();
});

test("whoever listens hears questions again after the server was killed", async () => {
  const stop = new AbortController();
  const listening = host.inquiry.listen(({ id }) => {
    host.inquiry.answer(id, { node: "h1", applied: 7, reason: null });
  }, stop.signal);
  await ask("q4");
  await nats.kill9();
  await until("noticed", 10_000, () => !asker.connected() && !host.connected());
  await nats.startAgain();
  expect((await ask("q5"))[0]).toEqual({ node: "h1", applied: 7, reason: null });
  stop.abort();
  await listening;
});
