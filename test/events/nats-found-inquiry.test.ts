// Questions to one host over a real server: it answers for itself alone, and silence has a reason.

import { afterAll, beforeAll, expect, test } from "bun:test";
import type { LogConnection } from "../../src/events/log-jetstream.ts";
import { askerAndHost } from "../support/asker-and-host.ts";
import { until } from "../support/fabric.ts";
import type { TestNats } from "../support/nats.ts";

const LIMIT_MS = 10_000;
const SELF = "h1.example.org";

let nats: TestNats;
let asker: LogConnection;
let host: LogConnection;

beforeAll(async () => {
  ({ nats, asker, host } = await askerAndHost({
    publish: "heddle-answer.t.h1_example_org.*",
    subscribe: "heddle-ask.t.found.>",
  }));
});

afterAll(() => nats.close());

let asked = 0;

async function ask(node: string, waitMs: number): Promise<string> {
  const answer = await asker.foundInquiry.ask(node, `q${asked++}`, waitMs);
  return typeof answer === "string" ? answer : new TextDecoder().decode(answer);
}

const said = (text: string) => () => new TextEncoder().encode(text);

test("a host's answer comes back as it was given", async () => {
  const stop = new AbortController();
  const listening = host.foundInquiry.listen(SELF, said("all well"), stop.signal);
  await until("answered", LIMIT_MS, async () => (await ask(SELF, LIMIT_MS)) === "all well");
  stop.abort();
  await listening;
});

test("that nobody listens is known at once", async () => {
  expect(await ask("h7", 60_000)).toBe("nobody");
});

test("a host that listens and says nothing is silent when time is up", async () => {
  const stop = new AbortController();
  const listening = host.foundInquiry.listen("h8", () => null, stop.signal);
  await until("it listens", LIMIT_MS, async () => (await ask("h8", 20)) === "silent");
  stop.abort();
  await listening;
});

test("a host cannot answer for another, though it hears the question", async () => {
  const stop = new AbortController();
  const listening = host.foundInquiry.listen("h9", said("forged"), stop.signal);
  await until("it listens", LIMIT_MS, async () => (await ask("h9", 20)) !== "nobody");
  expect(await ask("h9", 100)).toBe("silent");
  stop.abort();
  await listening;
});
