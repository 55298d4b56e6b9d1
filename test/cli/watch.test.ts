// heddle status --watch against an agent that the test plays: lines into a pipe, drawings on a
// terminal, an end by Ctrl-C.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { AgentStatus } from "../../src/agent/status.ts";
import { until } from "../support/fabric.ts";
import { spawnHeddle } from "./heddle.ts";

const LIMIT_MS = 10_000;
const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

const ready: AgentStatus = {
  ...{ node: "n1", fabric: "default", instance: "i", state: "ready", problems: [] },
  ...{ seq: { applied: 3, head: 3 }, lease: null, backend: null, peers: [] },
  ...{ drift: { healed: 0, pending: 0 }, quarantined: 0, version: "test" },
  log: { server: "2.9.10", connected: true, frozen: null },
};

let dir: string;
let socket: string;
let status: AgentStatus;
let asks: number;
let agent: Bun.Server<undefined> | null;

function startAgent(): void {
  const fetch = (): Response => {
    asks++;
    return Response.json(status);
  };
  agent = Bun.serve({ unix: socket, fetch });
}

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "heddle-watch-"));
  socket = join(dir, "s");
  status = ready;
  asks = 0;
  startAgent();
});

afterEach(async () => {
  await agent?.stop(true);
  await rm(dir, { recursive: true, force: true });
});

/** What a command has printed so far. */
function reading(stream: ReadableStream<Uint8Array>): () => string {
  let text = "";
  void (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) text += decoder.decode(chunk, { stream: true });
  })();
  return () => text;
}

test("into a pipe goes one line for each change, also when the agent goes and comes", async () => {
  const child = spawnHeddle(["status", "--watch", "--socket", socket]);
  try {
    const printed = reading(child.stdout);
    const lines = (count: number) =>
      until(`${count} lines`, LIMIT_MS, () => printed().split("\n").length > count);
    await lines(1);
    await until("it looked again", LIMIT_MS, () => asks > 2);
    status = { ...ready, state: "degraded", problems: ["no \u001b[2J"] };
    await lines(2);
    await agent?.stop(true);
    await lines(3);
    status = ready;
    startAgent();
    await lines(4);
    child.kill("SIGINT");
    expect(await child.exited).toBe(0);
    const away = /^agent at .* cannot be reached: /;
    // A socket whose listener goes is there a moment longer than the listener: two reasons.
    const told = printed().split("\n");
    expect(told.filter((line, i) => !away.test(line) || !away.test(told[i - 1] ?? ""))).toEqual([
      "n1 ready, seq 3/3, lease -, peers 0/0",
      "n1 degraded, seq 3/3, lease -, peers 0/0: no \\u001b[2J",
      expect.stringMatching(away),
      "n1 ready, seq 3/3, lease -, peers 0/0",
      "",
    ]);
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
});

test("as JSON each change is a document of its own", async () => {
  const child = spawnHeddle(["status", "--watch", "--json", "--socket", socket]);
  try {
    const printed = reading(child.stdout);
    await until("a line", LIMIT_MS, () => printed().endsWith("\n"));
    expect(JSON.parse(printed())).toEqual(ready);
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
});

test("a terminal shows the whole status, drawn anew when it changes and cut to fit", async () => {
  const watch = `${process.execPath} ${MAIN} status --watch --socket ${socket}`;
  const command = `stty rows 12; exec ${watch}`;
  const child = Bun.spawn(["script", "-qec", command, join(dir, "typescript")], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "ignore",
  });
  try {
    const printed = reading(child.stdout);
    const drawings = (): string[] => printed().split("\u001b[H\u001b[J").slice(1);
    await until("drawn", LIMIT_MS, () => drawings()[0]?.includes("quarantine") === true);
    const peer = { subnets: [], publicIp: null, path: "direct", state: "applied", error: null };
    const peers = Array.from({ length: 30 }, (_, i) => ({ ...peer, node: `p${i}` }));
    status = { ...ready, problems: ["no \u001b[2J"], peers } as AgentStatus;
    await until("drawn again", LIMIT_MS, () => drawings()[1]?.includes("more lines") === true);
    const drawn = drawings()[1]?.trimEnd().split("\r\n") ?? [];
    expect(drawn).toHaveLength(11);
    expect(drawn[0]).toBe("! no \\u001b[2J");
    child.stdin.write("\u0003");
    child.stdin.flush();
    expect(await child.exited).toBe(0);
    expect(drawings()).toHaveLength(2);
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
});
