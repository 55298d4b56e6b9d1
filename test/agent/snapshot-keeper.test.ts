import { describe, expect, test } from "bun:test";
import type { AgentFiles } from "../../src/agent/files.ts";
import { createSnapshotKeeper, loadSnapshot } from "../../src/agent/snapshot-keeper.ts";
import type { Tail, TailView } from "../../src/agent/tail.ts";
import { decodeSnapshot } from "../../src/events/snapshot.ts";
import { history } from "../support/history.ts";
import { manualClock } from "../support/manual-clock.ts";

function given() {
  const clock = manualClock();
  const disk = { text: null as string | null, writes: 0, takesMs: 0, broken: false };

  const warnings: string[] = [];
  const files: AgentFiles = {
    readSnapshot: async () => {
      if (disk.broken) throw new Error("EIO: i/o error, read");
      return disk.text;
    },
    writeSnapshot: async (text) => {
      if (disk.broken) throw new Error("ENOSPC: no space left on device");
      await new Promise<void>((resolve) => void clock.after(disk.takesMs, resolve));
      disk.text = text;
      disk.writes++;
    },
    readSubnetEnv: () => Promise.resolve(null),
    writeSubnetEnv: () => Promise.resolve(),
  };
  const ignore = () => undefined;
  const logger = {
    debug: ignore,
    info: ignore,
    error: ignore,
    warn: (message: string, fields = {}) => {
      warnings.push(`${message} ${JSON.stringify(fields)}`);
    },
  };
  const story = history("t").config({ Network: "10.5.0.0/16" });
  const view = { caughtUp: true, damage: null as string | null };
  const log = { created: "c", chain: "aa" };
  const host = { ready: true };
  const tail: Tail = {
    state: () => story.state(),
    view: () => ({ ...view, seq: story.state().seq }) as TailView,
    position: () => ({ ...log, seq: story.state().seq, tip: "bb" }),
    logNowMs: () => 0,
    accept: ignore,
    run: () => Promise.resolve(),
  };
  const deps = { files, clock, logger };
  const stop = new AbortController();
  const keeper = createSnapshotKeeper(deps, "boot-1", () => host.ready);
  const storedSeq = () => {
    const decoded = decodeSnapshot("t", disk.text ?? "");
    return decoded.ok ? decoded.snapshot.state.seq : decoded.reason;
  };
  return { clock, disk, warnings, story, view, log, host, tail, deps, stop, keeper, storedSeq };
}

test("a change is on disk soon after, and many changes are one write", async () => {
  const { clock, disk, story, tail, stop, keeper, storedSeq } = given();
  void keeper.run(tail, stop.signal);
  keeper.wake();
  await clock.advance(500);
  expect([disk.writes, storedSeq()]).toEqual([1, 1]);
  for (let i = 1; i <= 20; i++) {
    story.join(`h${i}`);
    keeper.wake();
    await clock.advance(10);
  }
  await clock.advance(1000);
  expect([disk.writes, storedSeq()]).toEqual([2, 21]);
  stop.abort();
  await clock.advance(0);
  expect(clock.pending).toBe(0);
});

test("while the log keeps moving it waits, but not for ever", async () => {
  const { clock, disk, story, tail, stop, keeper, storedSeq } = given();
  void keeper.run(tail, stop.signal);
  for (let i = 1; i <= 48; i++) {
    story.join(`h${i}`);
    keeper.wake();
    await clock.advance(100);
  }
  expect(disk.writes).toBe(0);
  for (let i = 49; i <= 52; i++) {
    story.join(`h${i}`);
    keeper.wake();
    await clock.advance(100);
  }
  expect(disk.writes).toBe(1);
  await clock.advance(500);
  expect([disk.writes, storedSeq()]).toEqual([2, 53]);
  stop.abort();
  await clock.advance(0);
});

test("the first one waits until the host was ready for a moment", async () => {
  const { clock, disk, host, tail, stop, keeper } = given();
  host.ready = false;
  void keeper.run(tail, stop.signal);
  keeper.wake();
  await clock.advance(2000);
  host.ready = true;
  keeper.wake();
  await clock.advance(499);
  expect(disk.writes).toBe(0);
  await clock.advance(1);
  expect(disk.writes).toBe(1);
  stop.abort();
  await clock.advance(0);
});

test("a host that does not get ready is written all the same", async () => {
  const { clock, disk, host, tail, stop, keeper } = given();
  host.ready = false;
  void keeper.run(tail, stop.signal);
  keeper.wake();
  await clock.advance(4999);
  expect(disk.writes).toBe(0);
  await clock.advance(1);
  expect(disk.writes).toBe(1);
  stop.abort();
  await clock.advance(0);
});

test("what changes while a snapshot is written is not taken for written", async () => {
  const { clock, disk, story, tail, stop, keeper, storedSeq } = given();
  disk.takesMs = 10;
  void keeper.run(tail, stop.signal);
  keeper.wake();
  await clock.advance(505);
  story.join("h1");
  keeper.wake();
  await clock.advance(5);
  expect(storedSeq()).toBe(1);
  await clock.advance(1000);
  expect(storedSeq()).toBe(2);
  stop.abort();
  await clock.advance(0);
});

test("a log that was accepted for another of the same length is written", async () => {
  const { clock, disk, log, tail, keeper } = given();
  const flush = () => Promise.all([keeper.flush(tail), clock.advance(0)]);
  const createdOnDisk = () => {
    const decoded = decodeSnapshot("t", disk.text ?? "");
    return decoded.ok ? decoded.snapshot.position.created : decoded.reason;
  };
  await flush();
  await flush();
  expect([disk.writes, createdOnDisk()]).toEqual([1, "c"]);
  log.created = "d";
  await flush();
  expect([disk.writes, createdOnDisk()]).toEqual([2, "d"]);
  log.chain = "cc";
  await flush();
  expect(disk.writes).toBe(3);
});

test("what changes for no host is written now and then, and at the end", async () => {
  const { clock, disk, story, tail, stop, keeper, storedSeq } = given();
  story.join("h1").claim("h1", ["10.5.1.0/24"]);
  void keeper.run(tail, stop.signal);
  keeper.wake();
  await clock.advance(500);
  const renewal = { node: "h1", epoch: 1, subnets: ["10.5.1.0/24"], ttlSeconds: 60 };
  for (let i = 0; i < 20; i++) {
    story.append({ type: "LeaseRenewed", data: renewal });
    keeper.wake();
    await clock.advance(1000);
  }
  // At first, after ten seconds, and after another ten.
  expect(disk.writes).toBe(3);
  // A change that matters does not wait for its turn.
  story.join("h2");
  keeper.wake();
  await clock.advance(1000);
  expect([disk.writes, storedSeq()]).toEqual([4, 24]);
  story.append({ type: "LeaseRenewed", data: renewal });
  const flushed = keeper.flush(tail);
  await clock.advance(0);
  await flushed;
  expect(storedSeq()).toBe(25);
  stop.abort();
});

test("a snapshot that was written for another node is ignored", async () => {
  const { clock, deps, tail, keeper, warnings } = given();
  void keeper.flush(tail);
  await clock.advance(0);
  expect((await loadSnapshot(deps, "t"))?.position.seq).toBe(1);
  expect(await loadSnapshot(deps, "t", "h1")).toBe(null);
  expect(warnings.join()).toContain("it was written for node null");
});

test("writing a large state takes a few percent of the time, not all of it", async () => {
  const { clock, disk, story, tail, stop, keeper } = given();
  disk.takesMs = 100;
  void keeper.run(tail, stop.signal);
  for (let i = 1; i <= 60; i++) {
    story.join(`h${i}`);
    keeper.wake();
    await clock.advance(500);
  }
  expect(disk.writes).toBeGreaterThan(5);
  expect(disk.writes * disk.takesMs).toBeLessThan(30_000 * 0.05);
  stop.abort();
});

describe("nothing is written", () => {
  test("before the log was folded to its head, or while it is damaged", async () => {
    const { disk, view, tail, keeper } = given();
    view.caughtUp = false;
    await keeper.flush(tail);
    view.caughtUp = true;
    view.damage = "the stream is gone";
    await keeper.flush(tail);
    expect(disk.writes).toBe(0);
  });

  test("when nothing is new", async () => {
    const { clock, disk, tail, keeper } = given();
    for (let i = 0; i < 2; i++) {
      void keeper.flush(tail);
      await clock.advance(0);
    }
    expect(disk.writes).toBe(1);
  });
});

test("a disk that is full is told, and tried again at the next change", async () => {
  const { clock, disk, warnings, tail, stop, keeper, storedSeq } = given();
  disk.broken = true;
  void keeper.run(tail, stop.signal);
  keeper.wake();
  await clock.advance(1000);
  expect(warnings.join()).toContain("ENOSPC");
  disk.broken = false;
  keeper.wake();
  await clock.advance(1000);
  expect(storedSeq()).toBe(1);
  stop.abort();
});

describe("at start", () => {
  test("the stored snapshot is taken when it is of this fabric", async () => {
    const { clock, tail, keeper, deps, warnings } = given();
    void keeper.flush(tail);
    await clock.advance(0);
    expect((await loadSnapshot(deps, "t"))?.position.seq).toBe(1);
    expect(await loadSnapshot(deps, "u")).toBeNull();
    expect(warnings.join()).toContain("it is of fabric t");
  });

  test("a missing one is no matter, a broken one is told and ignored", async () => {
    const { disk, deps, warnings } = given();
    expect(await loadSnapshot(deps, "t")).toBeNull();
    expect(warnings).toEqual([]);
    disk.text = "{";
    expect(await loadSnapshot(deps, "t")).toBeNull();
    expect(warnings.length).toBe(1);
  });
});

test("a snapshot that cannot be read is as good as none: the log has it all", async () => {
  const { disk, deps, warnings } = given();
  disk.broken = true;
  expect(await loadSnapshot(deps, "t", "h1")).toBeNull();
  expect(warnings).toEqual(['snapshot ignored {"reason":"EIO: i/o error, read"}']);
});
