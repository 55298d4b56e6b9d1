import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { releaseMemory } from "../../src/agent/os-memory.ts";
import { cleanRanges, trimAfterStart } from "../../src/agent/trim.ts";
import { discard } from "../../src/ffi/libc.ts";
import { manualClock, settle } from "../support/manual-clock.ts";

const FILE = "01a40000-01a44000 r-xp 0183f000 fe:00 5358360          /opt/heddle";
const mapping = (head: string, fields: object) =>
  [head, ...Object.entries({ Rss: 16, ...fields }).map(([k, v]) => `${k}:  ${v} kB`), ""].join(
    "\n",
  );

test("the program's text is named, from its first byte to its last", () => {
  const smaps = mapping(FILE, { Anonymous: 0, Private_Dirty: 0, Private_Clean: 16 });
  expect(cleanRanges(smaps)).toEqual([{ start: 0x1a40000, length: 0x4000 }]);
});

test.each([
  ["was relocated", mapping(FILE, { Anonymous: 4 })],
  ["was written to", mapping(FILE, { Private_Dirty: 4 })],
  ["was written to by another process", mapping(FILE, { Shared_Dirty: 4 })],
  ["is locked", mapping(FILE, { Locked: 4 })],
  ["is not resident", mapping(FILE, { Rss: 0 })],
  ["can be written to", mapping(FILE.replace("r-xp", "rw-p"), {})],
  ["is compiled code", mapping(FILE.replace("r-xp", "rwxp"), {})],
  ["is shared", mapping(FILE.replace("r-xp", "r-xs"), {})],
  ["cannot be read", mapping(FILE.replace("r-xp", "---p"), {})],
  ["is no file", mapping("7ffd1000-7ffd2000 r-xp 00000000 00:00 0   [vdso]", {})],
  ["is not what we know", "nonsense\nRss: 16 kB\n"],
])("a mapping that %s is left alone", (_, smaps) => {
  expect(cleanRanges(smaps)).toEqual([]);
  const behind = mapping(FILE.replace("01a4", "02a4").replace("01a4", "02a4"), {});
  expect(cleanRanges(smaps + behind)).toHaveLength(1);
});

test("this process goes on without the pages of its files, and holds fewer", () => {
  const fileKib = () =>
    Number(/RssFile:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
  const before = fileKib();
  releaseMemory();
  expect(fileKib()).toBeLessThan(before / 2);
  expect(JSON.parse(JSON.stringify({ still: ["here", 1] }))).toEqual({ still: ["here", 1] });
});

test("only whole pages can be discarded, and never the first", () => {
  expect(() => discard(4097, 4096)).toThrow("not a multiple of a page");
  expect(() => discard(8192, 100)).toThrow("address range");
  expect(() => discard(0, 4096)).toThrow("address range");
});

function agent(refuse = false) {
  const clock = manualClock();
  const stop = new AbortController();
  const seen = { ready: false, releases: 0, lines: [] as string[] };
  const say = (message: string, fields?: object): void => {
    seen.lines.push(`${message} ${JSON.stringify(fields)}`);
  };
  const done = trimAfterStart(
    {
      clock,
      logger: { debug: say, info: say, warn: say, error: say },
      isReady: () => seen.ready,
      releaseMemory: () => {
        seen.releases++;
        if (refuse) throw new Error("madvise: errno 22");
      },
    },
    stop.signal,
  );
  return { clock, stop, seen, done };
}

test("memory is given back once, when the agent has been ready for a while", async () => {
  const { clock, seen, done } = agent();
  await clock.advance(60_000);
  expect(seen.releases).toBe(0);
  seen.ready = true;
  await clock.advance(2000);
  seen.ready = false;
  await clock.advance(2000);
  seen.ready = true;
  await clock.advance(2000);
  expect(seen.releases).toBe(0);
  await clock.advance(2000);
  await done;
  expect([seen.releases, clock.pending]).toEqual([1, 0]);
});

test("an agent that ends first gives nothing back", async () => {
  const { clock, stop, seen, done } = agent();
  seen.ready = true;
  await clock.advance(2000);
  stop.abort();
  await settle();
  await done;
  expect([seen.releases, clock.pending]).toEqual([0, 0]);
});

test("a system that refuses costs a line and nothing else", async () => {
  const { clock, seen, done } = agent(true);
  seen.ready = true;
  await clock.advance(4000);
  await done;
  expect(seen.lines).toEqual(['memory is kept {"reason":"madvise: errno 22"}']);
});
