// What every EventLog and StatusBoard must do, whatever is behind it. Each test has a fresh log and
// as many clients as it asks for.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type Append, type EventLog, LogError, type Recorded } from "../../src/events/log.ts";
import type { StatusBoard } from "../../src/events/status-board.ts";
import { kindOf } from "./kind-of.ts";

export interface LogClient {
  readonly log: EventLog;
  readonly status: StatusBoard;
}

export interface LogWorld {
  /** The fabric whose subjects the log takes. */
  readonly fabric: string;
  client(): Promise<LogClient>;
  close(): Promise<void>;
}

/** More than two pulls of the JetStream reader. */
const MANY = 12_000;
const LARGE_BYTES = 900_000;
/** Together more than a socket delivers at once. */
const HOSTS = 1000;
const STATUS_BYTES = 2000;

export function logContract(name: string, open: () => Promise<LogWorld>): void {
  describe(`${name}: event log`, () => {
    const given = worldOf(open);
    appending(given);
    expecting(given);
    reading(given);
  });
  describe(`${name}: status board`, () => statusBoard(worldOf(open)));
}

interface Given {
  client(): Promise<LogClient>;
  message(name: string, more?: Partial<Append>): Append;
}

function worldOf(open: () => Promise<LogWorld>): Given {
  let world: LogWorld;
  beforeEach(async () => {
    world = await open();
  });
  afterEach(() => world.close());
  return {
    client: () => world.client(),
    message: (name, more = {}) => ({
      subject: `heddle.${world.fabric}.node.h1.lease`,
      payload: bytes(name),
      id: name,
      ...more,
    }),
  };
}

function appending({ client, message }: Given): void {
  test("an empty log begins at 1 and ends at 0", async () => {
    const { log } = await client();
    const info = await log.info();
    expect({ first: info.firstSeq, last: info.lastSeq }).toEqual({ first: 1, last: 0 });
    expect(info.created).not.toBe("");
    expect(await log.get(1)).toBeNull();
  });

  test("appends are numbered from 1 and can be got back", async () => {
    const { log } = await client();
    expect(await log.append(message("a"))).toEqual({ ok: true, seq: 1, duplicate: false });
    expect(await log.append(message("b"))).toEqual({ ok: true, seq: 2, duplicate: false });
    expect(await log.get(2)).toMatchObject({ seq: 2, subject: message("b").subject });
    expect(text(await log.get(2))).toBe("b");
    expect((await log.info()).lastSeq).toBe(2);
  });

  test("outside the log there is no record", async () => {
    const { log } = await client();
    await log.append(message("a"));
    expect([await log.get(0), await log.get(-1), await log.get(2)]).toEqual([null, null, null]);
  });

  test("an id that was stored is not stored again", async () => {
    const { log } = await client();
    await log.append(message("a"));
    await log.append(message("b"));
    expect(await log.append(message("a"))).toEqual({ ok: true, seq: 1, duplicate: true });
    expect((await log.info()).lastSeq).toBe(2);
  });

  test("any payload comes back byte by byte, empty and large ones too", async () => {
    const { log } = await client();
    const large = new Uint8Array(LARGE_BYTES).map((_, i) => (i * 31) & 0xff);
    const payloads = [new Uint8Array(), Uint8Array.of(0, 13, 10, 255), large];
    for (const [i, payload] of payloads.entries()) {
      await log.append(message(`p${i}`, { payload }));
    }
    const read = await take(log, 1, payloads.length);
    for (const [i, payload] of payloads.entries()) {
      expect(Buffer.compare(read[i]?.payload ?? bytes("none"), payload)).toBe(0);
      expect(Buffer.compare((await log.get(i + 1))?.payload ?? bytes("none"), payload)).toBe(0);
    }
  });
}

function expecting({ client, message }: Given): void {
  test("an append is refused unless its subject stands where it expects", async () => {
    const { log } = await client();
    const conflict = { ok: false, reason: "conflict" };
    expect(await log.append(message("a", { expectLastSubjectSeq: 3 }))).toMatchObject(conflict);
    expect(await log.append(message("b", { expectLastSubjectSeq: 0 }))).toMatchObject({ seq: 1 });
    expect(await log.append(message("c", { expectLastSubjectSeq: 0 }))).toMatchObject(conflict);
    expect(await log.append(message("d", { expectLastSubjectSeq: 1 }))).toMatchObject({ seq: 2 });
    expect((await log.info()).lastSeq).toBe(2);
  });

  test("the expectation is about one subject, not about the log", async () => {
    const { log } = await client();
    const other = message("x", { expectLastSubjectSeq: 0 });
    await log.append(message("a"));
    const append = { ...other, subject: other.subject.replace("h1", "h2") };
    expect(await log.append(append)).toMatchObject({ ok: true, seq: 2 });
  });

  test("an own append asked again is a success, even behind later ones there", async () => {
    const { log } = await client();
    await log.append(message("other", { subject: message("").subject.replace("h1", "h2") }));
    const mine = message("mine", { expectLastSubjectSeq: 0 });
    await log.append(mine);
    await log.append(message("next", { expectLastSubjectSeq: 2 }));
    expect(await log.append(mine)).toEqual({ ok: true, seq: 2, duplicate: true });
  });

  test("of clients that race with one expectation exactly one wins, and all know it", async () => {
    const clients = await Promise.all([client(), client(), client()]);
    for (let round = 0; round < 20; round++) {
      const subject = message("").subject.replace("h1", `s${round}`);
      const outcomes = await Promise.all(
        clients.map(({ log }, i) =>
          log.append(message(`${round}.${i}`, { subject, expectLastSubjectSeq: 0 })),
        ),
      );
      expect(outcomes.filter((outcome) => outcome.ok)).toHaveLength(1);
    }
    expect((await clients[0].log.info()).lastSeq).toBe(20);
  });
}

function reading({ client, message }: Given): void {
  test("reads from any position, then live what others append", async () => {
    const [one, other] = await Promise.all([client(), client()]);
    for (const name of ["a", "b", "c"]) await one.log.append(message(name));
    const reading = take(one.log, 2, 4);
    await other.log.append(message("d"));
    await other.log.append(message("e"));
    expect((await reading).map(text)).toEqual(["b", "c", "d", "e"]);
  });

  test("reads from right behind the end by waiting", async () => {
    const { log } = await client();
    const reading = take(log, 1, 1);
    await log.append(message("a"));
    expect((await reading).map(text)).toEqual(["a"]);
  });

  test("a record is the same, its time included, whichever way it is read", async () => {
    const { log } = await client();
    for (let i = 0; i < 20; i++) await log.append(message(`m${i}`));
    const read = await take(log, 1, 20);
    for (const record of read) {
      expect(Number.isInteger(record.timeMs)).toBeTrue();
      expect(await log.get(record.seq)).toEqual({
        ...record,
        payload: Buffer.from(record.payload),
      });
    }
    const times = read.map(({ timeMs }) => timeMs);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });

  test("many records come contiguous, and earlier payloads stay as they were", async () => {
    const { log } = await client();
    for (let at = 0; at < MANY; at += 1000) {
      const names = Array.from({ length: 1000 }, (_, i) => `m${at + i}`);
      await Promise.all(names.map((name) => log.append(message(name))));
    }
    const read = await take(log, 1, MANY);
    expect(read.map(({ seq }) => seq)).toEqual(Array.from({ length: MANY }, (_, i) => i + 1));
    expect(new Set(read.map(text)).size).toBe(MANY);
  });

  test("a reader with an end waits for it, returns after it, and takes no more", async () => {
    const { log } = await client();
    for (const name of ["a", "b", "c", "d"]) await log.append(message(name));
    const range = async (from: number, last: number): Promise<string[]> => {
      const read: string[] = [];
      for await (const batch of log.read(from, new AbortController().signal, { last })) {
        read.push(...batch.map(text));
      }
      return read;
    };
    expect(await range(2, 3)).toEqual(["b", "c"]);
    expect(await range(3, 2)).toEqual([]);
    const waiting = range(4, 5);
    await log.append(message("e"));
    await log.append(message("f"));
    expect(await waiting).toEqual(["d", "e"]);
  });

  test("a reader that means another log is told to look at this one", async () => {
    const { log } = await client();
    await log.append(message("a"));
    const { created } = await log.info();
    const { signal } = new AbortController();
    const meant = async (created: string): Promise<string[]> => {
      for await (const batch of log.read(1, signal, { created })) return batch.map(text);
      return [];
    };
    expect(await meant(created)).toEqual(["a"]);
    expect(await kindOf(meant("once upon a time"))).toBe("unreachable");
  });

  test("a position that the log does not hold is a gap", async () => {
    const { log } = await client();
    await log.append(message("a"));
    for (const from of [0, 3]) {
      const failure = await take(log, from, 1).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(LogError);
      expect(failure).toMatchObject({ kind: "gap" });
    }
  });

  test("aborting ends a reader that waits, and one that has not begun", async () => {
    const { log } = await client();
    const abort = new AbortController();
    const ended = drain(log, abort.signal);
    await log.append(message("a"));
    abort.abort();
    expect(await ended).toBeLessThanOrEqual(1);
    expect(await drain(log, abort.signal)).toBe(0);
  });

  test("readers of one client do not disturb each other", async () => {
    const { log } = await client();
    const readers = [take(log, 1, 1), take(log, 1, 30), take(log, 1, 30)];
    for (let i = 0; i < 30; i++) await log.append(message(`m${i}`));
    const [, ...all] = await Promise.all(readers);
    const names = Array.from({ length: 30 }, (_, i) => `m${i}`);
    expect(all.map((records) => records.map(text))).toEqual([names, names]);
  });
}

function statusBoard({ client }: Given): void {
  test("shows the last entry of each host", async () => {
    const [one, other] = await Promise.all([client(), client()]);
    expect(await one.status.list()).toEqual([]);
    await one.status.publish("h1.example.org", bytes("old"));
    await other.status.publish("h2", bytes("x"));
    await one.status.publish("h1.example.org", bytes("new"));
    const list = await other.status.list();
    expect(list.map(({ node }) => node)).toEqual(["h1.example.org", "h2"]);
    expect(list.map(({ payload }) => Buffer.from(payload).toString())).toEqual(["new", "x"]);
    expect(list.every(({ timeMs }) => Number.isInteger(timeMs))).toBeTrue();
  });

  test("shows every host of a large fabric", async () => {
    const { status } = await client();
    const nodes = Array.from({ length: HOSTS }, (_, i) => `h${i}`);
    await Promise.all(nodes.map((node) => status.publish(node, new Uint8Array(STATUS_BYTES))));
    const list = await status.list();
    expect(new Set(list.map(({ node }) => node))).toEqual(new Set(nodes));
  });

  test("a watcher sees what is there and then what comes", async () => {
    const { status } = await client();
    await status.publish("h1", bytes("1"));
    const abort = new AbortController();
    const seen: string[] = [];
    for await (const { node, payload } of status.watch(abort.signal)) {
      seen.push(`${node} ${Buffer.from(payload).toString()}`);
      if (seen.length === 1) await status.publish("h2", bytes("2"));
      else abort.abort();
    }
    expect(seen).toEqual(["h1 1", "h2 2"]);
  });

  test("a name that is no node name is refused", async () => {
    const { status } = await client();
    for (const node of ["", "a b", "*", "a_b", "a..b"]) {
      const failure = await status.publish(node, bytes("x")).catch((error: unknown) => error);
      expect(failure).toMatchObject({ kind: "refused" });
    }
  });
}

export function bytes(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

export function text(record: Recorded | null): string {
  return record === null ? "none" : new TextDecoder().decode(record.payload);
}

/** The next `count` records from `from`; waits for those not yet stored. */
export async function take(log: EventLog, from: number, count: number): Promise<Recorded[]> {
  const taken: Recorded[] = [];
  for await (const batch of log.read(from, new AbortController().signal)) {
    expect(batch.length).toBeGreaterThan(0);
    taken.push(...batch);
    if (taken.length >= count) break;
  }
  return taken.slice(0, count);
}

async function drain(log: EventLog, signal: AbortSignal): Promise<number> {
  let count = 0;
  for await (const batch of log.read(1, signal)) count += batch.length;
  return count;
}
