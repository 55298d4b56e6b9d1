// The JetStream log on a real nats-server that is restarted, killed, frozen, deleted under it and
// rolled back. What every log must do is in the contract suite.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type Append, type EventLog, LogError, type Recorded } from "../../src/events/log.ts";
import type { LogConnection } from "../../src/events/log-jetstream.ts";
import { bytes, take, text } from "../support/contract-log.ts";
import { follow, until } from "../support/follow-log.ts";
import { kindOf } from "../support/kind-of.ts";
import { TestNats } from "../support/nats.ts";
import { deleteMessage, deleteStream, makeStream, maxAgeOf } from "../support/nats-admin.ts";

const FABRIC = "t-1";
const STREAM = "HEDDLE_T_1";
const SUBJECT = `heddle.${FABRIC}.node.h1.lease`;

/** Soon, and enough for a busy machine that is not frozen. */
const HASTY = { timeoutMs: 500 };

let nats: TestNats;
let connection: LogConnection;
let log: EventLog;

beforeEach(async () => {
  nats = await TestNats.start();
  connection = await nats.connect(FABRIC);
  await connection.createStream(1);
  log = connection.log;
});
afterEach(() => nats.close());

describe("reader", () => {
  test("goes on without loss or repeat after a restart and after kill -9", async () => {
    const appending = appendAll(300);
    const following = follow(log, 300);
    await until(async () => (await lastSeq()) > 20);
    await nats.stop();
    await nats.startAgain();
    await until(async () => (await lastSeq()) > 120);
    await nats.kill9();
    await nats.startAgain();
    await appending;
    expect((await following).map(text)).toEqual(names(300));
  });

  test("ends when the server is frozen, and goes on when it thaws", async () => {
    await log.append(message("a"));
    const reads = Promise.withResolvers<void>();
    const reading = failureOf(log, 2, () => reads.resolve());
    await log.append(message("b"));
    await reads.promise;
    await nats.freeze();
    // By its silence, after 2.5 s; the client's own pings would take 4 to 6 s.
    expect(await reading).toMatchObject({
      kind: "unreachable",
      message: expect.stringContaining("silent"),
    });
    nats.thaw();
    expect((await follow(log, 2)).map(text)).toEqual(["a", "b"]);
  });

  test("aborts at once while the server is frozen", async () => {
    await nats.freeze();
    const abort = new AbortController();
    const ended = count(log.read(1, abort.signal));
    abort.abort();
    expect(await ended).toBe(0);
    nats.thaw();
  });

  test("ends when its stream is deleted", async () => {
    await log.append(message("a"));
    const reads = Promise.withResolvers<void>();
    const reading = failureOf(log, 1, () => reads.resolve());
    await reads.promise;
    await deleteStream(nats.url, STREAM);
    expect((await reading).kind).toBeOneOf(["unreachable", "missing"]);
    expect(await failureOf(log, 1)).toMatchObject({ kind: "missing" });
  });

  test("refuses a stream that was made again, which has another identity", async () => {
    await log.append(message("a"));
    const before = await log.info();
    await deleteStream(nats.url, STREAM);
    await connection.createStream(1);
    expect((await log.info()).created).not.toBe(before.created);
    expect(await failureOf(log, 2)).toMatchObject({ kind: "gap" });
  });

  test("refuses a log that lost its tail", async () => {
    await log.append(message("a"));
    await nats.stop();
    const copy = await nats.copyStore();
    await nats.startAgain();
    await log.append(message("b"));
    const before = await log.info();
    await nats.stop();
    await nats.restoreStore(copy);
    await nats.startAgain();
    await until(async () => (await lastSeq()) === 1);
    expect((await log.info()).created).toBe(before.created);
    expect(await failureOf(log, 3)).toMatchObject({ kind: "gap" });
    expect((await take(log, 1, 1)).map(text)).toEqual(["a"]);
  });

  test("stops before a hole, inside the log and at its beginning", async () => {
    const name = "holed";
    await makeStream(nats.url, { name: "HEDDLE_HOLED", subjects: ["heddle.holed.>"] });
    const holed = (await nats.connect(name)).log;
    for (const id of names(5)) await holed.append({ ...message(id), subject: "heddle.holed.x" });
    await deleteMessage(nats.url, "HEDDLE_HOLED", 4);
    const seen: number[] = [];
    const failure = await failureOf(holed, 2, (record) => seen.push(record.seq));
    expect(failure).toMatchObject({ kind: "gap" });
    expect(seen).toEqual([2, 3]);
    await deleteMessage(nats.url, "HEDDLE_HOLED", 1);
    expect(await failureOf(holed, 1)).toMatchObject({ kind: "gap" });
  });
});

describe("append", () => {
  test("stores once what the server took while it was frozen", async () => {
    const hasty = await nats.connect(FABRIC, HASTY);
    await hasty.log.append(message("before"));
    for (const [i, more] of [{}, { expectLastSubjectSeq: 2 }].entries()) {
      await nats.freeze();
      const appending = hasty.log.append({ ...message(`m${i}`), ...more });
      // Sent later with the same timeout: when it has failed, so has the first attempt.
      expect(await kindOf(hasty.log.info())).toBe("unreachable");
      nats.thaw();
      expect(await appending).toEqual({ ok: true, seq: i + 2, duplicate: true });
      expect(await lastSeq()).toBe(i + 2);
    }
  });

  test("recognises its own record when the server has forgotten the id", async () => {
    const subject = (name: string) => `heddle.brief.${name}`;
    await makeStream(nats.url, {
      name: "HEDDLE_BRIEF",
      subjects: [subject(">")],
      duplicate_window: 100_000_000,
    });
    const brief = (await nats.connect("brief")).log;
    const mine = { ...message("mine"), subject: subject("x"), expectLastSubjectSeq: 0 };
    await brief.append(mine);
    await untilStoredTwice(brief, { ...message("probe"), subject: subject("probe") });
    expect(await brief.append(mine)).toEqual({ ok: true, seq: 1, duplicate: true });
    const theirs = { ...mine, id: "theirs" };
    expect(await brief.append(theirs)).toEqual({ ok: false, reason: "conflict" });
  });

  test("is told a conflict when another wrote while the server was frozen", async () => {
    const hasty = await nats.connect(FABRIC, HASTY);
    await nats.freeze();
    const first = log.append({ ...message("first"), expectLastSubjectSeq: 0 });
    expect(await kindOf(hasty.log.info())).toBe("unreachable");
    const second = hasty.log.append({ ...message("second"), expectLastSubjectSeq: 0 });
    expect(await kindOf(hasty.log.info())).toBe("unreachable");
    nats.thaw();
    const outcomes = [await first, await second];
    expect(outcomes.filter(({ ok }) => ok)).toHaveLength(1);
    expect(text(await log.get(1))).toBe(outcomes[0]?.ok ? "first" : "second");
    expect(await lastSeq()).toBe(1);
  });

  test("recognises its id after kill -9 and restart", async () => {
    await log.append(message("a"));
    await nats.kill9();
    await nats.startAgain();
    expect(await log.append(message("a"))).toEqual({ ok: true, seq: 1, duplicate: true });
  });

  test("waits for a server that restarts", async () => {
    await nats.stop();
    const appending = log.append(message("a"));
    expect(await kindOf(log.info())).toBe("unreachable");
    await nats.startAgain();
    expect(await appending).toMatchObject({ ok: true, seq: 1 });
  });

  test("ends when its connection is closed", async () => {
    const leaving = await nats.connect(FABRIC);
    await nats.stop();
    const appending = kindOf(leaving.log.append(message("a")));
    await leaving.close();
    expect(await appending).toBe("unreachable");
  });

  test("refuses a payload above the server's limit, and stores one just below", async () => {
    const most = message("a", new Uint8Array(1_000_000));
    expect(await log.append(most)).toMatchObject({ ok: true });
    const large = message("b", new Uint8Array(1_100_000));
    expect(await kindOf(log.append(large))).toBe("refused");
  });

  test("says that there is no stream", async () => {
    const other = await nats.connect("other");
    const append = other.log.append({ ...message("a"), subject: "heddle.other.x" });
    expect(await kindOf(append)).toBe("missing");
    expect(await kindOf(other.log.info())).toBe("missing");
    expect(await kindOf(other.status.list())).toBe("missing");
  });

  test("does not take another stream's storing for its own", async () => {
    await makeStream(nats.url, { name: "FOREIGN", subjects: ["heddle.other.>"] });
    const other = await nats.connect("other");
    const append = other.log.append({ ...message("a"), subject: "heddle.other.x" });
    expect(await kindOf(append)).toBe("missing");
  });
});

describe("stream", () => {
  test("is made once, and is not changed by making it again", async () => {
    await log.append(message("a"));
    const before = await log.info();
    await Promise.all([connection.createStream(1), connection.createStream(1)]);
    expect(await log.info()).toEqual(before);
  });

  test("of the status board forgets who has been silent for a day", async () => {
    expect(await maxAgeOf(nats.url, `${STREAM}_STATUS`)).toBe(24 * 3_600_000);
  });

  test("cannot be purged, and no record can be deleted", async () => {
    await log.append(message("a"));
    await expect(deleteMessage(nats.url, STREAM, 1)).rejects.toThrow("delete");
    expect((await log.info()).firstSeq).toBe(1);
  });

  test.each([
    ["deny_delete", { deny_delete: false }],
    ["deny_purge", { deny_purge: false }],
    ["age limit", { max_age: 3_600_000_000_000 }],
    ["message limit", { max_msgs: 1000 }],
    ["size limit", { max_bytes: 1_000_000 }],
    ["limit per subject", { max_msgs_per_subject: 1 }],
    ["subjects", { subjects: ["heddle.unfit.x"] }],
  ])("is refused for its %s", async (what, config) => {
    await makeStream(nats.url, {
      name: "HEDDLE_UNFIT",
      subjects: ["heddle.unfit.>"],
      deny_delete: true,
      deny_purge: true,
      ...config,
    });
    const unfit = await nats.connect("unfit");
    const failure = await unfit.createStream(1).catch((error: unknown) => error);
    expect(failure).toMatchObject({ kind: "unsupported" });
    expect(failure).toHaveProperty("message", expect.stringContaining(what));
  });

  test("is not replicated by a server that loses races in replicas", async () => {
    if (!connection.serverVersion()?.startsWith("2.9.")) return;
    const failure = await connection.createStream(3).catch((error: unknown) => error);
    expect(failure).toMatchObject({ kind: "unsupported" });
    expect(failure).toHaveProperty("message", expect.stringContaining("2.10"));
  });
});

function names(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `m${i}`);
}

function message(id: string, payload = bytes(id)) {
  return { subject: SUBJECT, payload, id };
}

async function appendAll(count: number): Promise<void> {
  for (const name of names(count)) await log.append(message(name));
}

/** When it is, the server has forgotten the ids of all that was stored before it. */
async function untilStoredTwice(to: EventLog, message: Append): Promise<void> {
  await to.append(message);
  for (;;) {
    const again = await to.append(message);
    if (again.ok && !again.duplicate) return;
  }
}

async function failureOf(
  from: EventLog,
  seq: number,
  each: (record: Recorded) => void = () => undefined,
): Promise<LogError> {
  try {
    for await (const batch of from.read(seq, new AbortController().signal)) batch.forEach(each);
  } catch (error) {
    if (error instanceof LogError) return error;
    throw error;
  }
  throw new Error("the reader returned");
}

async function count(batches: AsyncIterable<readonly Recorded[]>): Promise<number> {
  let total = 0;
  for await (const batch of batches) total += batch.length;
  return total;
}

async function lastSeq(): Promise<number> {
  return (await log.info()).lastSeq;
}

/** Polls; `unreachable` counts as not yet. */
