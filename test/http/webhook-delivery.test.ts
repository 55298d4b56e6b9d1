// One attempt, against real sockets on loopback.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { createServer, type Socket } from "node:net";
import { deliver, type Resolve } from "../../src/http/webhook-delivery.ts";
import { Receiver } from "../support/receiver.ts";

const never = new AbortController().signal;
const loopback = { allow: ["127.0.0.1/32"], own: [] };

let receiver: Receiver;

beforeEach(() => {
  receiver = new Receiver();
});
afterEach(() => receiver.close());

function parcelTo(url: string) {
  return { url, headers: { "content-type": "application/json" }, body: '{"id":"1"}' };
}

/** The receiver's URL with another host in it. */
function at(host: string): string {
  return `http://${host}:${new URL(receiver.url).port}/in?a=b`;
}

test("a name is resolved once, and what was checked is what is connected to", async () => {
  const asked: string[] = [];
  const resolve: Resolve = async (host) => {
    asked.push(host);
    // Asked again, it would lead elsewhere: DNS rebinding.
    return [{ address: asked.length === 1 ? "127.0.0.1" : "127.0.0.2" }];
  };
  const attempt = await deliver(parcelTo(at("ci.test")), {
    ...{ policy: loopback, resolve, signal: never },
  });
  expect(attempt).toEqual({ ok: true, status: 200 });
  expect(asked).toEqual(["ci.test"]);
  const [received] = receiver.received;
  expect(received).toMatchObject({ path: "/in", body: '{"id":"1"}' });
  expect(received?.headers.host).toBe(new URL(at("ci.test")).host);
});

test("one bad address among those of a name is enough to refuse", async () => {
  const resolve: Resolve = async () => [{ address: "127.0.0.1" }, { address: "10.1.2.3" }];
  const attempt = await deliver(parcelTo(at("ci.test")), {
    ...{ policy: loopback, resolve, signal: never },
  });
  expect(attempt).toEqual({ ok: false, status: null, reason: "refused: 10.1.2.3 is private" });
  expect(receiver.received).toEqual([]);
});

test("addresses in the URL are checked too, in every form a URL takes", async () => {
  const policy = { allow: [], own: [] };
  for (const host of ["127.0.0.1", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]", "[::1]"]) {
    const attempt = await deliver(parcelTo(at(host)), { policy, signal: never });
    expect([host, attempt]).toEqual([
      host,
      { ok: false, status: null, reason: expect.stringContaining("is loopback") as string },
    ]);
  }
  expect(receiver.received).toEqual([]);
});

test("a name of this host is refused as its address is", async () => {
  const attempt = await deliver(parcelTo(at("localhost")), {
    ...{ policy: { allow: [], own: [] }, signal: never },
  });
  expect(attempt).toMatchObject({ reason: expect.stringContaining("is loopback") });
});

test("http goes to allowed addresses only", async () => {
  const attempt = await deliver(parcelTo("http://ci.test/"), {
    ...{ policy: { allow: [], own: [] }, resolve: async () => [{ address: "192.0.32.7" }] },
    signal: never,
  });
  expect(attempt).toMatchObject({ reason: "refused: 192.0.32.7 takes no http, only https" });
});

test("a status other than 2xx is a failure with its number", async () => {
  for (const [status, ok] of [
    [200, true],
    [204, true],
    [302, false],
    [404, false],
    [503, false],
  ] as const) {
    receiver.answer = () => new Response(null, { status, headers: { location: "/elsewhere" } });
    const attempt = await deliver(parcelTo(at("127.0.0.1")), { policy: loopback, signal: never });
    expect(attempt).toMatchObject({ ok, status });
  }
  expect(receiver.received.map(({ path }) => path)).toEqual(Array(5).fill("/in"));
});

test("an answer without end is not waited for", async () => {
  const ended = Promise.withResolvers<void>();
  receiver.answer = () =>
    new Response(
      new ReadableStream({
        pull: (controller) => controller.enqueue(new Uint8Array(65_536)),
        cancel: () => ended.resolve(),
      }),
    );
  const attempt = await deliver(parcelTo(at("127.0.0.1")), { policy: loopback, signal: never });
  expect(attempt).toEqual({ ok: true, status: 200 });
  await ended.promise;
});

test("silence ends with the time, and a stop ends it at once", async () => {
  const sockets = new Set<Socket>();
  const silent = createServer((socket) => sockets.add(socket)).listen(0, "127.0.0.1");
  await new Promise((resolve) => silent.once("listening", resolve));
  const { port } = silent.address() as { port: number };
  const parcel = parcelTo(`http://127.0.0.1:${port}/`);
  try {
    const late = await deliver(parcel, { policy: loopback, timeoutMs: 50, signal: never });
    expect(late).toEqual({ ok: false, status: null, reason: "no answer within 0.05 s" });
    const stop = new AbortController();
    const stopped = deliver(parcel, { policy: loopback, signal: stop.signal });
    stop.abort();
    expect(await stopped).toMatchObject({ ok: false, status: null });
    const unresolved = deliver(parcelTo("https://ci.test/"), {
      ...{ policy: loopback, timeoutMs: 50, signal: never },
      resolve: () => new Promise(() => undefined),
    });
    expect(await unresolved).toMatchObject({ reason: "no answer within 0.05 s" });
  } finally {
    for (const socket of sockets) socket.destroy();
    silent.close();
  }
});

test("a port where nobody listens is a reason, not an exception", async () => {
  const { url } = receiver;
  await receiver.close();
  const attempt = await deliver(parcelTo(url), { policy: loopback, signal: never });
  expect(attempt).toMatchObject({ ok: false, status: null, reason: expect.any(String) });
  receiver = new Receiver();
});
