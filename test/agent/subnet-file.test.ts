import { describe, expect, test } from "bun:test";
import type { AgentFiles } from "../../src/agent/files.ts";
import { createSubnetFile } from "../../src/agent/subnet-file.ts";
import type { DriftItem } from "../../src/events/event.ts";
import { manualClock } from "../support/manual-clock.ts";

function given() {
  const clock = manualClock();
  const disk: { text: string | null; broken: boolean; writes: number; writing: number } = {
    text: null,
    broken: false,
    writes: 0,
    writing: 0,
  };
  const files: AgentFiles = {
    readSnapshot: () => Promise.resolve(null),
    writeSnapshot: () => Promise.resolve(),
    readSubnetEnv: () => Promise.resolve(disk.text),
    writeSubnetEnv: async (text) => {
      if (disk.broken) throw new Error("EROFS: read-only file system");
      expect(++disk.writing).toBe(1);
      await Promise.resolve();
      disk.writing--;
      disk.writes++;
      disk.text = text;
    },
  };
  const seen = {
    want: null as string | null,
    drift: [] as DriftItem[],
    problem: "" as string | null,
  };
  const file = createSubnetFile({
    files,
    clock,
    wanted: () => seen.want,
    onDrift: (item) => seen.drift.push(item),
    onProblem: (problem) => {
      seen.problem = problem;
    },
  });
  return { clock, disk, seen, file };
}

test("nothing wanted leaves the file alone, whatever it holds", async () => {
  const { disk, file } = given();
  disk.text = "someone else's";
  await file.ensure();
  expect([disk.text, disk.writes]).toEqual(["someone else's", 0]);
});

test("what is wanted is written once and not again", async () => {
  const { disk, seen, file } = given();
  seen.want = "A=1\n";
  await Promise.all([file.ensure(), file.ensure(), file.ensure()]);
  expect([disk.text, disk.writes, seen.problem]).toEqual(["A=1\n", 1, null]);
});

describe("it is drift", () => {
  test("when somebody deleted or changed the file; it is put right within a second", async () => {
    const { clock, disk, seen, file } = given();
    const stop = new AbortController();
    seen.want = "A=1\n";
    void file.run(stop.signal);
    await clock.advance(0);
    expect(seen.drift).toEqual([]);
    disk.text = null;
    await clock.advance(1000);
    disk.text = "A=2\n";
    await clock.advance(1000);
    expect(disk.text).toBe("A=1\n");
    expect(seen.drift).toEqual([
      { noun: "file", problem: "missing", found: null, wanted: "subnet.env" },
      { noun: "file", problem: "altered", found: "A=2\n", wanted: "subnet.env" },
    ]);
    stop.abort();
    await clock.advance(0);
    expect(clock.pending).toBe(0);
  });

  test("not when an earlier run left another text, or the plan is new", async () => {
    const { disk, seen, file } = given();
    disk.text = "of last time";
    seen.want = "A=1\n";
    await file.ensure();
    seen.want = "A=2\n";
    await file.ensure();
    expect([disk.text, seen.drift.length]).toEqual(["A=2\n", 0]);
  });
});

test("a file that cannot be written is a problem until it can", async () => {
  const { disk, seen, file } = given();
  seen.want = "A=1\n";
  disk.broken = true;
  await file.ensure();
  expect(seen.problem).toBe("subnet file: EROFS: read-only file system");
  disk.broken = false;
  await file.ensure();
  expect([disk.text, seen.problem]).toEqual(["A=1\n", null]);
});
