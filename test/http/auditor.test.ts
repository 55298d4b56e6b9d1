import { afterEach, expect, test } from "bun:test";
import { sha256 } from "../../src/agent/sha256.ts";
import { checkpointText } from "../../src/events/checkpoint.ts";
import {
  type CheckpointRecord,
  decodeCheckpoint,
  encodeCheckpoint,
} from "../../src/events/checkpoint-record.ts";
import type { Recorded } from "../../src/events/log.ts";
import { Frontier, leafHash } from "../../src/events/merkle.ts";
import { checkpointSubject } from "../../src/events/name.ts";
import { newSigner, signedBy } from "../../src/http/audit-key.ts";
import { AuditedLog, auditKey } from "../support/audited-log.ts";

const CADENCE_MS = 100;

let world: AuditedLog;

afterEach(() => world.close());

function stored(): readonly CheckpointRecord[] {
  return world.checkpointMemory.truth.records.map((record) => {
    const found = decodeCheckpoint(record);
    if (found === null) throw new Error(`${record.seq} is no checkpoint`);
    return found;
  });
}

function rootOf(records: readonly Recorded[]): string {
  const frontier = new Frontier(sha256);
  for (const record of records) frontier.push(leafHash(sha256, record));
  return frontier.root().toHex();
}

const sizes = (): readonly number[] => stored().map(({ checkpoint }) => checkpoint.size);

async function store(text: string, from: number, leaves: readonly Uint8Array[]): Promise<void> {
  const payload = encodeCheckpoint(text, from, leaves);
  const id = `by hand ${text}`;
  await world.checkpoints.append({ subject: checkpointSubject("t"), payload, id });
}

test("records are signed at once, then every 100 ms, and nothing when none come", async () => {
  world = new AuditedLog();
  const server = world.server();
  await world.clock.advance(1000);
  expect(sizes()).toEqual([]);
  await world.append(1);
  await world.clock.advance(0);
  expect(sizes()).toEqual([1]);
  for (let i = 0; i < 10; i++) {
    await world.append(2);
    await world.clock.advance(CADENCE_MS / 10);
  }
  await world.clock.advance(10 * CADENCE_MS);
  expect(sizes()).toEqual([1, 21]);
  expect(server.view()).toEqual({ size: 21, signed: 21, trouble: null });
});

test("a checkpoint is signed over the root of the records, with their leaf hashes", async () => {
  world = new AuditedLog();
  await world.append(5);
  world.server();
  await world.clock.advance(CADENCE_MS);
  await world.append(3);
  await world.clock.advance(2 * CADENCE_MS);
  const { records } = world.memory.truth;
  expect(sizes()).toEqual([5, 6, 8]);
  for (const { checkpoint, note, from, leaves } of stored()) {
    expect(checkpoint.origin).toBe("heddle/t");
    expect(signedBy(note, auditKey)).toBe("valid");
    expect(checkpoint.root.toHex()).toBe(rootOf(records.slice(0, checkpoint.size)));
    expect(leaves.map((leaf) => leaf.toHex())).toEqual(
      records.slice(from - 1, checkpoint.size).map((each) => leafHash(sha256, each).toHex()),
    );
  }
  expect(stored().map(({ from }) => from)).toEqual([1, 6, 7]);
});

test("a long unsigned log is signed in parts that fit a message", async () => {
  world = new AuditedLog();
  await world.append(10_000);
  world.server();
  await world.clock.advance(CADENCE_MS);
  expect(sizes()).toEqual([4096, 8192, 10_000]);
});

test("servers that sign one log sign each size once, and say the same", async () => {
  world = new AuditedLog();
  const servers = [world.server(), world.server(), world.server()];
  for (const memory of [world.memory, world.checkpointMemory]) {
    memory.setFaults({ delayMsMax: CADENCE_MS });
  }
  for (let i = 0; i < 60; i++) {
    void world.append(1);
    await world.clock.advance(CADENCE_MS / 3);
  }
  await world.clock.advance(10 * CADENCE_MS);
  expect(new Set(sizes()).size).toBe(sizes().length);
  expect([...sizes()].sort((a, b) => a - b)).toEqual([...sizes()]);
  let next = 1;
  for (const { from, checkpoint } of stored()) {
    expect(from).toBe(next);
    next = checkpoint.size + 1;
  }
  for (const server of servers) {
    expect(server.view()).toEqual({ size: 60, signed: 60, trouble: null });
  }
  expect(new Set(servers.map((server) => server.newest()?.text)).size).toBe(1);
});

test("a restarted server goes on where the last checkpoint ended", async () => {
  world = new AuditedLog();
  world.server();
  await world.append(4);
  await world.clock.advance(2 * CADENCE_MS);
  const count = sizes().length;
  const again = world.server();
  await world.clock.advance(2 * CADENCE_MS);
  expect(sizes().length).toBe(count);
  expect(again.newest()?.checkpoint.size).toBe(4);
});

test("a log that was rewritten is not signed again, and the record is named", async () => {
  world = new AuditedLog();
  world.server();
  await world.append(6);
  await world.clock.advance(2 * CADENCE_MS);
  const [first] = sizes();
  const copy = world.memory.copy();
  const forged = copy.records.map((each) =>
    each.seq === 3 ? { ...each, timeMs: each.timeMs + 1 } : each,
  );
  world.close();
  const kept = world.checkpointMemory.copy();
  world = new AuditedLog();
  world.memory.rewind({ ...copy, records: forged });
  world.checkpointMemory.rewind(kept);
  const server = world.server();
  await world.clock.advance(CADENCE_MS);
  await world.append(2);
  await world.clock.advance(10 * CADENCE_MS);
  expect(sizes()).toEqual([...new Set([first ?? 0, 6])]);
  expect(server.view().trouble).toMatch(/^(sequence 3|one of the first 6 records) is not/);
  expect(world.errors).toHaveLength(1);
});

test("a log that lost its end is not signed until it is as long as what was signed", async () => {
  world = new AuditedLog();
  await world.append(6);
  world.server();
  await world.clock.advance(2 * CADENCE_MS);
  world.close();
  const [copy, kept] = [world.memory.copy(), world.checkpointMemory.copy()];
  world = new AuditedLog();
  world.memory.rewind({ ...copy, records: copy.records.slice(0, 4) });
  world.checkpointMemory.rewind(kept);
  const server = world.server();
  await world.clock.advance(10 * CADENCE_MS);
  expect([sizes(), server.newest()]).toEqual([[6], null]);
  world.memory.forgetIds();
  await world.append(2);
  await world.clock.advance(10 * CADENCE_MS);
  expect(sizes()).toEqual([6]);
  expect(server.view().trouble).toMatch(/^sequence 5 is not the record that was signed/);
});

test("what is not signed by the key is not believed by who signs", async () => {
  world = new AuditedLog();
  await world.append(2);
  const root = new Uint8Array(32);
  const stranger = newSigner("heddle/t").key;
  const text = checkpointText({ origin: "heddle/t", size: 2, root });
  await store(stranger.sign(text), 1, [root, root]);
  const [, signature = ""] = auditKey.sign("another text\n").split("\n\n");
  await store(`${text}\n${signature}`, 1, [root, root]);
  await world.checkpoints.append({
    ...{ subject: checkpointSubject("t"), payload: Uint8Array.of(0xff), id: "garbage" },
  });
  const server = world.server();
  await world.clock.advance(CADENCE_MS);
  expect(server.newest()?.checkpoint.root.toHex()).toBe(rootOf(world.memory.truth.records));
  expect(server.view()).toEqual({ size: 2, signed: 2, trouble: null });
  expect(world.errors).toEqual([]);
});

test("a server without a key signs nothing, and shows what others signed if it fits", async () => {
  world = new AuditedLog();
  const reader = world.server(null);
  await world.append(2);
  await world.clock.advance(10 * CADENCE_MS);
  expect([sizes(), reader.newest()]).toEqual([[], null]);
  world.server();
  await world.clock.advance(CADENCE_MS);
  expect(reader.newest()?.checkpoint.size).toBe(2);
  await world.append(1);
  const lie = auditKey.sign(
    checkpointText({ origin: "heddle/t", size: 3, root: new Uint8Array(32) }),
  );
  await store(lie, 3, [new Uint8Array(32)]);
  await world.clock.advance(CADENCE_MS);
  expect(reader.newest()?.checkpoint.root.toHex()).not.toBe(new Uint8Array(32).toHex());
});
