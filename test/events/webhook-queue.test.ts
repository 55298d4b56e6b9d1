// On a real nats-server; there is no other implementation.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { LogConnection } from "../../src/events/log-jetstream.ts";
import type { Queued } from "../../src/events/webhook-queue.ts";
import { TestNats } from "../support/nats.ts";
import { setAckWait } from "../support/nats-admin.ts";

const FABRIC = "queue";
const ID = "ci-1";

let nats: TestNats;
let connection: LogConnection;
const never = new AbortController().signal;

beforeEach(async () => {
  nats = await TestNats.start();
  connection = await nats.connect(FABRIC);
  await connection.createStream(1);
});
afterEach(async () => {
  await nats.close();
});

async function append(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const id = crypto.randomUUID();
    await connection.log.append({
      ...{ subject: `heddle.${FABRIC}.admin.config`, payload: new Uint8Array([1]), id },
    });
  }
}

/**
 * The webhook's cursor, whose records count as lost after the documented 6 s: that is read from the
 * server, and then made short.
 */
async function openHasty(): Promise<void> {
  await connection.webhooks.open(ID, 1);
  const cursor = { stream: `HEDDLE_${FABRIC.toUpperCase()}`, consumer: `hook_${ID}` };
  expect(await setAckWait(nats.url, cursor, 300)).toBe(6000);
}

async function next(from: LogConnection = connection): Promise<Queued> {
  for (;;) {
    const queued = await from.webhooks.next(ID, never);
    if (queued !== null) return queued;
  }
}

test("records come one by one, each when the one before is done", async () => {
  await append(4);
  await connection.webhooks.open(ID, 3);
  expect(await connection.webhooks.view(ID)).toEqual({ seq: 2, behind: 2 });
  const third = await next();
  expect([third.seq, third.attempt]).toEqual([3, 1]);
  const other = await nats.connect(FABRIC);
  const waiting = next(other);
  expect(await connection.webhooks.view(ID)).toEqual({ seq: 2, behind: 2 });
  await third.done();
  const fourth = await waiting;
  expect([fourth.seq, fourth.attempt]).toEqual([4, 1]);
  await fourth.done();
  expect(await connection.webhooks.view(ID)).toEqual({ seq: 4, behind: 0 });
});

test("what is to come again comes again before anything later", async () => {
  await append(2);
  await connection.webhooks.open(ID, 1);
  const seen: string[] = [];
  for (let i = 0; i < 3; i++) {
    const queued = await next();
    seen.push(`${queued.seq}/${queued.attempt}`);
    await (queued.attempt < 3 ? queued.again(50) : queued.done());
  }
  const last = await next();
  expect([...seen, `${last.seq}/${last.attempt}`]).toEqual(["1/1", "1/2", "1/3", "2/1"]);
});

test.each(["stopped", "killed"])(
  "a cursor that is opened again goes on after the server was %s",
  async (how) => {
    await append(3);
    await openHasty();
    await (await next()).done();
    await (how === "killed" ? nats.kill9() : nats.stop());
    await nats.startAgain();
    const again = await nats.connect(FABRIC);
    await again.webhooks.open(ID, 1);
    const first = await next(again);
    // A killed server may not have written down the last acknowledgement yet.
    expect(how === "killed" ? [1, 2] : [2]).toContain(first.seq);
    await first.done();
    expect((await next(again)).seq).toBe(first.seq + 1);
  },
);

test("a record whose holder is gone comes to another", async () => {
  await append(1);
  await openHasty();
  const dying = await nats.connect(FABRIC);
  expect((await next(dying)).seq).toBe(1);
  await dying.close();
  const queued = await next();
  expect([queued.seq, queued.attempt]).toEqual([1, 2]);
});

test("whoever stops waiting takes no record along", async () => {
  await connection.webhooks.open(ID, 1);
  const stop = new AbortController();
  const waiting = connection.webhooks.next(ID, stop.signal);
  stop.abort();
  expect(await waiting).toBeNull();
  const other = await nats.connect(FABRIC);
  await append(1);
  expect((await next(other)).seq).toBe(1);
});

test("dead letters and why it stands still are kept until the webhook is removed", async () => {
  const { webhooks } = connection;
  expect([await webhooks.failing(ID), await webhooks.dead(ID)]).toEqual([null, []]);
  await webhooks.open(ID, 1);
  await webhooks.open("ci-12", 1);
  const failing = {
    ...{ seq: 7, attempt: 2, status: 500, reason: "answered 500" },
    ...{ sinceMs: 1, atMs: 2, nextMs: 3 },
  };
  await webhooks.noteFailing(ID, { ...failing, attempt: 1 });
  await webhooks.noteFailing(ID, failing);
  const letter = { seq: 12, attempts: 9, status: null, reason: "no answer", atMs: 4 };
  for (const seq of [12, 7, 12]) await webhooks.bury(ID, { ...letter, seq });
  await webhooks.bury("ci-12", letter);
  expect(await webhooks.failing(ID)).toEqual(failing);
  expect(await webhooks.dead(ID)).toEqual([7, 12]);
  expect(await webhooks.letter(ID, 12)).toEqual(letter);
  expect(await webhooks.letter(ID, 13)).toBeNull();
  await webhooks.unbury(ID, 7);
  await webhooks.noteFailing(ID, null);
  expect([await webhooks.failing(ID), await webhooks.dead(ID)]).toEqual([null, [12]]);
  expect([...(await webhooks.ids())].sort()).toEqual([ID, "ci-12"]);
  await webhooks.remove(ID);
  await webhooks.remove(ID);
  expect(await webhooks.view(ID)).toBeNull();
  expect([await webhooks.dead(ID), await webhooks.dead("ci-12")]).toEqual([[], [12]]);
  expect(await webhooks.ids()).toEqual(["ci-12"]);
});

test("the permissions that the guide names are enough", async () => {
  const guide = readFileSync(new URL("../../docs/webhooks.md", import.meta.url), "utf8");
  const named = /needs in addition:\n\n```\n([\s\S]*?)```/.exec(guide)?.[1] ?? "";
  const allow = named
    .trim()
    .split(/\s+/)
    .map((each) => each.replace("<FABRIC>", FABRIC.toUpperCase()).replace("<fabric>", FABRIC));
  allow.push(`$JS.API.STREAM.INFO.HEDDLE_${FABRIC.toUpperCase()}`);
  const restricted = await TestNats.start(`
    authorization { users: [
      { user: admin, password: a }
      { user: serve, password: s, permissions: {
          publish: { allow: ${JSON.stringify(allow)} }, subscribe: { allow: ["_INBOX_serve.>"] } } }
    ] }`);
  try {
    const as = (user: string) => ({ servers: restricted.url.replace("://", `://${user}@`) });
    const admin = await restricted.connect(FABRIC, as("admin:a"));
    await admin.createStream(1);
    const { webhooks } = await restricted.connect(FABRIC, {
      ...{ ...as("serve:s"), inboxPrefix: "_INBOX_serve" },
    });
    await webhooks.open(ID, 1);
    const payload = new Uint8Array([1]);
    await admin.log.append({ subject: `heddle.${FABRIC}.admin.config`, payload, id: "1" });
    const first = await webhooks.next(ID, never);
    first?.progress();
    await first?.again(0);
    const second = await webhooks.next(ID, never);
    expect([second?.seq, second?.attempt]).toEqual([1, 2]);
    await second?.done();
    const letter = { seq: 1, attempts: 2, status: null, reason: "no answer", atMs: 1 };
    await webhooks.bury(ID, letter);
    expect(await webhooks.letter(ID, 1)).toEqual(letter);
    expect([await webhooks.dead(ID), await webhooks.ids()]).toEqual([[1], [ID]]);
    await webhooks.unbury(ID, 1);
    await webhooks.remove(ID);
    expect(await webhooks.ids()).toEqual([]);
  } finally {
    await restricted.close();
  }
});
