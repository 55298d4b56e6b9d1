// The audit routes over a real nats-server: what they answer holds by RFC 9162's own checks.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { sha256 } from "../../src/agent/sha256.ts";
import { parseCheckpoint, parseNote } from "../../src/events/checkpoint.ts";
import { leafHash } from "../../src/events/merkle.ts";
import { isConsistent, isIncluded } from "../../src/events/merkle-proof.ts";
import { until } from "../support/fabric.ts";
import { TestHook } from "../support/hook.ts";

const LIMIT_MS = 5000;
const LAST = 40;

let hook: TestHook;

interface Checkpoint {
  readonly checkpoint: string;
  readonly size: number;
  readonly root: string;
}

beforeAll(async () => {
  hook = await TestHook.start();
  const { lastSeq } = await hook.connection.log.info();
  for (let seq = lastSeq + 1; seq <= LAST; seq++) {
    await hook.append({ type: "HostRecovered", data: { node: `h${seq}` } });
  }
  await until("the whole log is signed", LIMIT_MS, () => hook.deps.audit.view().signed === LAST);
});

afterAll(() => hook.close());

const bytes = (text: string): Uint8Array => Uint8Array.fromBase64(text);

test("the checkpoint is a signed note of the size and root that it says", async () => {
  const { checkpoint, size, root } = await hook.get<Checkpoint>("/v1/audit/checkpoint");
  const note = parseNote(checkpoint);
  expect(parseCheckpoint(note?.text ?? "")).toEqual({
    ...{ origin: "heddle/hook", size: LAST, root: bytes(root) },
  });
  expect(note?.signatures.map(({ name }) => name)).toEqual(["heddle/hook"]);
  expect(size).toBe(LAST);
});

test("every record is proven to be under the checkpoint", async () => {
  const { size, root } = await hook.get<Checkpoint>("/v1/audit/checkpoint");
  for (let seq = 1; seq <= LAST; seq++) {
    const proof = await hook.get<{ path: string[]; size: number }>(`/v1/audit/proof?seq=${seq}`);
    const record = await hook.connection.log.get(seq);
    if (record === null) throw new Error(`no record ${seq}`);
    const claim = { leaf: leafHash(sha256, record), index: seq - 1, size, root: bytes(root) };
    expect(proof.size).toBe(size);
    expect(isIncluded(sha256, { ...claim, path: proof.path.map(bytes) })).toBe(true);
  }
});

test("an earlier tree is proven to be the beginning of a later one", async () => {
  const { root } = await hook.get<Checkpoint>("/v1/audit/checkpoint");
  for (const from of [1, 7, 32, LAST]) {
    const query = `/v1/audit/consistency?from=${from}&to=${LAST}`;
    const { proof } = await hook.get<{ proof: string[] }>(query);
    const claim = { from, to: LAST, toRoot: bytes(root), proof: proof.map(bytes) };
    const fromRoot = hook.deps.audit.tree.root(from);
    expect(isConsistent(sha256, { ...claim, fromRoot })).toBe(true);
  }
});

test("another server, without the key, answers the same", async () => {
  const { tcp, deps } = await hook.another();
  await until("it has the checkpoint", LIMIT_MS, () => deps.audit.view().signed === LAST);
  const paths = ["checkpoint", "proof?seq=3", "proof?seq=3&size=9", "consistency?from=5"];
  for (const path of paths) {
    const [one, two] = await Promise.all([
      hook.get(`/v1/audit/${path}`),
      hook.get(`/v1/audit/${path}`, {}, tcp.url),
    ]);
    expect(two).toEqual(one);
  }
});

test("what the log does not hold is refused by name", async () => {
  const refused: readonly (readonly [string, number, RegExp])[] = [
    ["proof", 400, /query parameter seq: .*expected/],
    ["proof?seq=0", 400, /query parameter seq: expected a whole number from 1/],
    ["proof?seq=1.5", 400, /query parameter seq: expected a whole number/],
    [`proof?seq=${LAST + 1}`, 404, /seq: 41 is beyond 40/],
    [`proof?seq=1&size=${LAST + 1}`, 404, /size: the log ends at 40/],
    ["consistency?from=9&to=8", 400, /from: 9 is beyond 8/],
    ["consistency?from=1&to=1000000000000000", 404, /to: the log ends at 40/],
    ["consistency?from=1&to=1e15", 400, /query parameter to: expected a whole number/],
  ];
  for (const [path, status, why] of refused) {
    const answer = await hook.ask(`/v1/audit/${path}`);
    expect([path, answer.status]).toEqual([path, status]);
    expect(((await answer.json()) as { detail: string }).detail).toMatch(why);
  }
  expect((await hook.ask("/v1/audit/checkpoint", { as: null })).status).toBe(401);
});
