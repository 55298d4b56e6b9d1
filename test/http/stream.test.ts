// The log as server-sent events over a real socket: what a client gets, gets again after it was
// away, and cannot make the server hold for it.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { get, type IncomingMessage } from "node:http";
import { createParser } from "eventsource-parser";
import type { Draft } from "../../src/events/event.ts";
import { TestHook } from "../support/hook.ts";

let hook: TestHook;
let reserved = 0;

beforeAll(async () => {
  hook = await TestHook.start();
  await hook.append({ type: "FabricConfigured", data: { config: { Network: "10.5.0.0/16" } } });
});
afterAll(() => hook.close());

interface Stream {
  /** Sequences of the messages so far. */
  readonly seqs: number[];
  readonly answer: IncomingMessage;
  /** Resolves when the message of that sequence has come. */
  reached(seq: number): Promise<void>;
  close(): void;
}

function follow(query = "", headers: Record<string, string> = {}, url = hook.url): Promise<Stream> {
  const seqs: number[] = [];
  const waiting = new Map<number, () => void>();
  const parser = createParser({
    onEvent: ({ id, data }) => {
      if (data === "") return;
      expect(JSON.parse(data)).toMatchObject({ seq: Number(id) });
      seqs.push(Number(id));
      waiting.get(Number(id))?.();
    },
  });
  const opened = Promise.withResolvers<Stream>();
  const authorization = `Bearer ${hook.token("read")}`;
  const asked = get(
    `${url}/v1/events${query}`,
    { headers: { accept: "text/event-stream", authorization, ...headers }, agent: false },
    (answer) => {
      answer.setEncoding("utf8");
      answer.on("data", (text: string) => parser.feed(text));
      answer.on("error", () => undefined);
      opened.resolve({
        seqs,
        answer,
        reached: (seq) =>
          seqs.includes(seq)
            ? Promise.resolve()
            : new Promise((resolve) => waiting.set(seq, resolve)),
        close: () => asked.destroy(),
      });
    },
  );
  asked.on("error", opened.reject);
  return opened.promise;
}

function reserve(): Draft {
  reserved += 1;
  return {
    type: "LeaseReserved",
    data: { subnet: `10.5.${reserved & 255}.0/24`, node: null, note: `${reserved}` },
  };
}

async function appendMany(count: number): Promise<number> {
  let last = 0;
  for (let i = 0; i < count; i += 1) last = await hook.append(reserve());
  return last;
}

const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe("a client that follows the log", () => {
  test("gets each event once, in order, from the moment it asks", async () => {
    const stream = await follow();
    expect(stream.answer.headers["content-type"]).toBe("text/event-stream");
    const first = await hook.append(reserve());
    const last = await appendMany(20);
    await stream.reached(last);
    expect(stream.seqs).toEqual(range(first, last));
    stream.close();
  });

  test("gets what it missed when it comes back, from any server, also from long ago", async () => {
    const last = await appendMany(30);
    const { tcp } = await hook.another();
    const stream = await follow("", { "last-event-id": "3" }, tcp.url);
    await stream.reached(last);
    const next = await hook.append(reserve());
    await stream.reached(next);
    expect(stream.seqs).toEqual(range(4, next));
    stream.close();
  });

  test("misses nothing while its server is replaced", async () => {
    const before = await follow();
    const first = await hook.append(reserve());
    await before.reached(first);
    const ended = new Promise((resolve) => before.answer.on("close", resolve));
    await hook.restart();
    await ended;
    const last = await appendMany(5);
    const after = await follow("", { "last-event-id": `${first}` });
    await after.reached(last);
    expect(after.seqs).toEqual(range(first + 1, last));
    after.close();
  });

  test("gets the types that it asks for, and nothing twice of the others", async () => {
    const stream = await follow("?type=PeerRemoved&type=TokenCreated&from=1");
    await hook.append(reserve());
    await hook.createToken("read");
    const { lastSeq: token } = await hook.connection.log.info();
    await stream.reached(token);
    expect(stream.seqs.slice(0, 3)).toEqual([1, 2, 3]);
    expect(stream.seqs.at(-1)).toBe(token);
    expect(stream.seqs).toHaveLength(4);
    stream.close();
  });

  test.each([
    ["a place that the log has not reached", "", { "last-event-id": "999999" }, 400],
    ["what is no sequence", "", { "last-event-id": "abc" }, 400],
    ["a type that does not exist", "?type=Nothing", {}, 400],
    ["no token", "", { authorization: "" }, 401],
  ])("is refused with %s", async (_, query, headers, status) => {
    const { answer, close } = await follow(query, headers);
    expect(answer.statusCode).toBe(status);
    expect(answer.headers["content-type"]).toBe("application/problem+json");
    close();
  });
});

test("who takes nothing costs the server nothing, and gets all in the end", async () => {
  const slow = await follow();
  slow.answer.pause();
  const first = await hook.append(reserve());
  const note = "n".repeat(1000);
  let last = first;
  for (let i = 0; i < 3000; i += 200) {
    const many = range(1, 200).map(() => {
      const draft = reserve() as Extract<Draft, { type: "LeaseReserved" }>;
      return hook.append({ ...draft, data: { ...draft.data, note } });
    });
    last = Math.max(...(await Promise.all(many)));
  }
  slow.answer.resume();
  await slow.reached(last);
  expect(slow.seqs).toEqual(range(first, last));
  slow.close();
});

test("a thousand clients get the same event", async () => {
  const streams = await Promise.all(range(1, 1000).map(() => follow()));
  const seq = await hook.append(reserve());
  await Promise.all(streams.map((stream) => stream.reached(seq)));
  for (const stream of streams) stream.close();
});
