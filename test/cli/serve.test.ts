// heddle serve as a process: it listens, answers from the log, and ends as asked.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { firstLine } from "../support/first-line.ts";
import { TestNats } from "../support/nats.ts";
import { heddle, spawnHeddle } from "./heddle.ts";

let nats: TestNats;

beforeAll(async () => {
  nats = await TestNats.start();
});

afterAll(() => nats.close());

test("serves on the port that the kernel chose, until it is asked to end", async () => {
  const connection = await nats.connect("web");
  await connection.createStream(1);
  const child = spawnHeddle([
    ...["serve", "--nats", nats.url, "--fabric", "web", "--http", "127.0.0.1:0"],
    ...["--log-format", "json"],
  ]);
  try {
    const line = JSON.parse(await firstLine(child.stderr, "listening")) as {
      msg: string;
      url: string;
    };
    expect(line).toMatchObject({ msg: "listening", fabric: "web" });
    const answer = await fetch(`${line.url}/healthz`);
    expect(await answer.json()).toEqual({ ok: true });
  } finally {
    child.kill("SIGTERM");
  }
  expect(await child.exited).toBe(0);
});

test("an address that cannot be had is one line", async () => {
  const taken = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response() });
  try {
    const http = `127.0.0.1:${taken.port}`;
    const ran = await heddle(["serve", "--nats", nats.url, "--http", http]);
    expect(ran.code).toBe(1);
    expect(ran.err).toContain(`heddle: ${http}: `);
  } finally {
    await taken.stop(true);
  }
});

test("flags that do not fit together are refused by name", async () => {
  for (const [args, message] of [
    [["--http", "nowhere"], "expected HOST:PORT"],
    [["--http", "127.0.0.1:99999"], "--http 127.0.0.1:99999: expected a port up to 65535"],
    [["--http-tls-cert", "c.pem"], "--http-tls-cert: expected --http-tls-key too"],
  ] as const) {
    const ran = await heddle(["serve", "--nats", nats.url, ...args]);
    expect(ran.code).toBe(2);
    expect(ran.err).toContain(message);
  }
});

test("a webhook key that others may read, too short or not there is refused", async () => {
  const dir = mkdtempSync(join(tmpdir(), "heddle-serve-"));
  try {
    const key = Buffer.alloc(32, 7).toString("base64");
    const file = (name: string, text: string, mode: number): string => {
      writeFileSync(join(dir, name), text, { mode });
      return join(dir, name);
    };
    const good = file("good", key, 0o600);
    for (const [flag, value, message] of [
      ["--webhook-key", file("open", key, 0o644), "its mode is 0644, expected 0600"],
      ["--webhook-key", `${good},${file("short", "c2hvcnQ=", 0o600)}`, "expected 32 random bytes"],
      ["--webhook-key", join(dir, "none"), "cannot be read (ENOENT)"],
      ["--webhook-allow", "10.0.0.1/8", "expected prefixes without host bits"],
    ] as const) {
      const ran = await heddle(["serve", "--nats", nats.url, flag, value]);
      expect([ran.code, ran.err]).toEqual([2, expect.stringContaining(message)]);
      expect(ran.err).not.toContain(key);
    }
  } finally {
    rmSync(dir, { recursive: true });
  }
});
