// Exports of a log in memory that servers signed, damaged in every way that the verifier is to
// notice. `exported` is what an honest log gives; each test changes lines of it, or the log itself.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { ExportLine } from "../../src/events/audit-export.ts";
import { type Checkpoint, checkpointText } from "../../src/events/checkpoint.ts";
import { decodeCheckpoint } from "../../src/events/checkpoint-record.ts";
import type { Recorded } from "../../src/events/log.ts";
import { exportLines } from "../../src/http/audit-export.ts";
import { newSigner } from "../../src/http/audit-key.ts";
import { ExportVerifier, type Refuted, type Verified } from "../../src/http/audit-verify.ts";
import { AuditedLog, auditKey } from "../support/audited-log.ts";

const RECORDS = 40;
/** Records between two checkpoints. */
const STEP = 4;
const CADENCE_MS = 100;

let world: AuditedLog;

beforeEach(async () => {
  world = new AuditedLog();
  world.server();
  for (let i = 0; i < RECORDS; i += STEP) {
    await world.append(STEP);
    await world.clock.advance(2 * CADENCE_MS);
  }
});
afterEach(() => world.close());

async function exported(from = 1, to = world.memory.truth.records.length): Promise<ExportLine[]> {
  const lines: ExportLine[] = [];
  for await (const line of exportLines({ ...world, fabric: "t" }, { from, to })) lines.push(line);
  return lines;
}

function verify(
  lines: readonly (ExportLine | string)[],
  kept: Checkpoint | null = null,
): Verified | Refuted {
  const verifier = new ExportVerifier(auditKey, kept);
  for (const line of lines) {
    const refuted = verifier.line(typeof line === "string" ? line : JSON.stringify(line));
    if (refuted !== null) return refuted;
  }
  return verifier.end();
}

const isRecord = (line: ExportLine, seq: number) => line.kind === "record" && line.seq === seq;

/** The honest export with one record's line changed. */
async function altered(seq: number, change: Partial<ExportLine>): Promise<ExportLine[]> {
  return (await exported()).map((line) =>
    isRecord(line, seq) ? ({ ...line, ...change } as ExportLine) : line,
  );
}

/** The log itself is another from here on; its checkpoints stay. */
function rewrite(change: (records: readonly Recorded[]) => readonly Recorded[]): void {
  const copy = world.memory.copy();
  world.memory.rewind({ ...copy, records: change(copy.records) });
}

function keptAt(size: number): Checkpoint {
  for (const record of world.checkpointMemory.truth.records) {
    const found = decodeCheckpoint(record)?.checkpoint;
    if (found?.size === size) return found;
  }
  throw new Error(`no checkpoint of ${size}`);
}

describe("an honest export", () => {
  test("is proven to its end", async () => {
    const lines = await exported();
    const checkpoints = lines.filter(({ kind }) => kind === "checkpoint").length;
    expect(checkpoints).toBeGreaterThanOrEqual(RECORDS / STEP);
    expect(verify(lines)).toEqual({
      ...{ ok: true, fabric: "t", from: 1, to: RECORDS, signedTo: RECORDS, checkpoints },
    });
  });

  test("of any part is proven, also where no checkpoint ends with the part", async () => {
    for (let from = 1; from <= RECORDS; from += 3) {
      for (let to = from; to <= RECORDS; to += 5) {
        expect(verify(await exported(from, to))).toMatchObject({ ok: true, from, signedTo: to });
      }
    }
  });

  test("says what is not signed yet", async () => {
    world.close();
    await world.append(3);
    const result = verify(await exported());
    expect(result).toMatchObject({ ok: true, to: RECORDS + 3, signedTo: RECORDS });
  });

  test("is the continuation of a checkpoint that the auditor kept", async () => {
    expect(verify(await exported(), keptAt(20))).toMatchObject({ ok: true });
  });

  test("holds payloads that are no text, byte for byte", async () => {
    const payloads = [
      Uint8Array.of(0xff, 0),
      Uint8Array.of(0xef, 0xbb, 0xbf, 0x41),
      new Uint8Array(),
    ];
    for (const [i, payload] of payloads.entries()) {
      await world.log.append({ subject: "heddle.t.node.h1.member", payload, id: `raw ${i}` });
    }
    await world.clock.advance(2 * CADENCE_MS);
    const last = RECORDS + payloads.length;
    expect(verify(await exported())).toMatchObject({ ok: true, signedTo: last });
  });
});

describe("the first bad sequence is named when", () => {
  test("a payload was edited", async () => {
    for (const seq of [1, 18, RECORDS]) {
      expect(verify(await altered(seq, { payload: '{"type":"HostFrozen"}' }))).toMatchObject({
        ...{ ok: false, seq, through: seq, signedTo: expect.any(Number) },
        reason: expect.stringContaining("not the record that was signed"),
      });
    }
  });

  test("a time was changed by a millisecond", async () => {
    const line = (await exported()).find((each) => isRecord(each, 18));
    const time = line?.kind === "record" ? new Date(Date.parse(line.time) + 1).toISOString() : "";
    expect(verify(await altered(18, { time }))).toMatchObject({ ok: false, seq: 18, through: 18 });
  });

  test("a writer was changed", async () => {
    const subject = "heddle.t.node.h99.report";
    expect(verify(await altered(7, { subject }))).toMatchObject({ ok: false, seq: 7, through: 7 });
  });

  test("a record was removed", async () => {
    const lines = (await exported()).filter((line) => !isRecord(line, 18));
    expect(verify(lines)).toMatchObject({
      ok: false,
      seq: 18,
      reason: expect.stringMatching(/missing; 19/),
    });
  });

  test("a record was removed and the later ones renumbered", async () => {
    rewrite((records) =>
      records.filter(({ seq }) => seq !== 18).map((each, i) => ({ ...each, seq: i + 1 })),
    );
    expect(verify(await exported())).toMatchObject({ ok: false, seq: 18, through: 18 });
  });

  test("two records were swapped", async () => {
    const lines = await exported();
    const at = lines.findIndex((line) => isRecord(line, 18));
    lines.splice(at, 2, ...lines.slice(at, at + 2).reverse());
    expect(verify(lines)).toMatchObject({
      ok: false,
      seq: 18,
      reason: expect.stringMatching(/missing; 19/),
    });
  });

  test("the log was rewritten in the store, and exported as it is now", async () => {
    rewrite((records) =>
      records.map((each) => (each.seq === 23 ? { ...each, payload: Uint8Array.of(1) } : each)),
    );
    expect(verify(await exported())).toMatchObject({ ok: false, seq: 23, through: 23 });
    expect(verify(await exported(10))).toMatchObject({ ok: false, seq: 23, through: 23 });
  });

  test("the file was cut", async () => {
    const lines = await exported();
    const at = lines.findIndex((line) => isRecord(line, 18));
    const cut = verify(lines.slice(0, at));
    expect(cut).toMatchObject({
      ok: false,
      seq: 18,
      reason: expect.stringMatching(/the file ends before it/),
    });
    const text = JSON.stringify(lines[at]).slice(0, 30);
    expect(verify([...lines.slice(0, at), text])).toMatchObject({ ok: false, seq: 18 });
    expect(verify([])).toMatchObject({ ok: false, seq: 1 });
  });

  test("the end was cut off and made to look whole, if a later checkpoint was kept", async () => {
    const kept = keptAt(RECORDS);
    rewrite((records) => records.slice(0, 20));
    const lines = await exported();
    expect(verify(lines, kept)).toMatchObject({
      ok: false,
      seq: 21,
      reason: expect.stringMatching(/kept checkpoint/),
    });
  });

  test("the log and its checkpoints were made anew, if a checkpoint was kept", async () => {
    const kept = keptAt(20);
    world.close();
    world = new AuditedLog();
    world.server();
    await world.clock.advance(CADENCE_MS);
    await world.append(RECORDS);
    await world.clock.advance(2 * CADENCE_MS);
    expect(verify(await exported())).toMatchObject({ ok: true });
    expect(verify(await exported(), kept)).toMatchObject({ ok: false, through: 20 });
  });
});

describe("a checkpoint is refused that", () => {
  /** The honest export with the checkpoint of 20 records signed anew, or otherwise changed. */
  async function resigned(change: (text: string) => string): Promise<ExportLine[]> {
    return (await exported()).map((line) =>
      line.kind === "checkpoint" && line.checkpoint.startsWith("heddle/t\n20\n")
        ? { ...line, checkpoint: change(line.checkpoint) }
        : line,
    );
  }
  const firstUnproven = { ok: false, seq: 18, signedTo: 17 };

  test("another key signed", async () => {
    const stranger = newSigner("heddle/t").key;
    const lines = await resigned((note) => stranger.sign(`${note.split("\n\n")[0]}\n`));
    expect(verify(lines)).toMatchObject({
      ...firstUnproven,
      reason: expect.stringMatching(/is not signed by/),
    });
  });

  test("bears the signature of another text", async () => {
    const text = checkpointText({ origin: "heddle/t", size: 20, root: new Uint8Array(32) });
    const lines = await resigned((note) => `${text}\n${note.split("\n\n")[1]}`);
    expect(verify(lines)).toMatchObject({
      ...firstUnproven,
      reason: expect.stringMatching(/has a wrong signature/),
    });
  });

  test("is of another fabric, though signed by the key", async () => {
    const root = keptAt(20).root;
    const text = checkpointText({ origin: "heddle/other", size: 20, root });
    const lines = await resigned(() => auditKey.sign(text));
    expect(verify(lines)).toMatchObject({
      ...firstUnproven,
      reason: expect.stringMatching(/is of another log/),
    });
  });

  test("the key signed over another log", async () => {
    const text = checkpointText({ origin: "heddle/t", size: 20, root: new Uint8Array(32) });
    const lines = await resigned(() => auditKey.sign(text));
    // Its leaf hashes are not its own, so no single record can be blamed.
    expect(verify(lines)).toMatchObject({ ok: false, seq: 18, through: 20, signedTo: 17 });
  });

  test("stands in another place", async () => {
    const lines = await exported();
    const at = lines.findIndex(({ kind }) => kind === "checkpoint");
    const [moved] = lines.splice(at, 1);
    if (moved === undefined) throw new Error("no checkpoint");
    lines.splice(30, 0, moved);
    expect(verify(lines)).toMatchObject({
      ok: false,
      reason: expect.stringMatching(/out of place/),
    });
  });
});

test("hashes of what came before an export are proven by its first checkpoint", async () => {
  const [head, ...rest] = await exported(10);
  if (head?.kind !== "heddle-audit") throw new Error("no head");
  const peaks = head.peaks.map(() => new Uint8Array(32).toBase64());
  expect(verify([{ ...head, peaks }, ...rest])).toMatchObject({ ok: false, seq: 1 });
  expect(verify([{ ...head, peaks: [] }, ...rest])).toMatchObject({ ok: false });
  expect(verify([{ ...head, fabric: "other" }, ...rest])).toMatchObject({
    reason: expect.stringMatching(/an export of heddle\/other, but a key of heddle\/t/),
  });
});

test("without a checkpoint nothing is proven", async () => {
  const lines = (await exported()).filter(({ kind }) => kind !== "checkpoint");
  expect(verify(lines)).toMatchObject({
    ok: false,
    seq: 1,
    reason: expect.stringMatching(/no checkpoint of this key/),
  });
});

test("what somebody else wrote into the checkpoint stream is not exported", async () => {
  const payload = new TextEncoder().encode('{"checkpoint":"nonsense","from":1,"leaves":""}');
  await world.checkpoints.append({ subject: "heddle-checkpoint.t", payload, id: "nonsense" });
  await world.append(STEP);
  await world.clock.advance(2 * CADENCE_MS);
  expect(verify(await exported())).toMatchObject({ ok: true, signedTo: RECORDS + STEP });
});
