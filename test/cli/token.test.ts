// heddle token: printed once, kept as a hash, listed, revoked; and the hook honours it.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { TestNats } from "../support/nats.ts";
import { heddle, lines, timeless } from "./heddle.ts";

let nats: TestNats;

beforeAll(async () => {
  nats = await TestNats.start();
});

afterAll(() => nats.close());

async function fabric(name: string) {
  const connection = await nats.connect(name);
  await connection.createStream(1);
  const run = (...args: string[]) => heddle([...args, "--nats", nats.url, "--fabric", name]);
  return { run, connection };
}

test("a token is printed once; the log keeps its hash", async () => {
  const { run } = await fabric("once");
  const made = await run("token", "create", "--name", "ci", "--scope", "write");
  expect(made.code).toBe(0);
  const token = made.out.trim();
  expect(token).toMatch(/^heddle_ci_[A-Za-z0-9_-]{43}$/);
  expect(made.err).not.toContain(token);
  const hash = new Bun.CryptoHasher("sha256").update(token).digest("hex");
  const events = await run("events", "--json");
  expect(events.out).not.toContain(token);
  expect(JSON.parse(events.out)).toMatchObject({
    type: "TokenCreated",
    data: { name: "ci", hash, scopes: ["write"], expiresAt: null },
  });
  const again = await run("token", "create", "--name", "ci", "--scope", "read");
  expect(again).toMatchObject({ code: 2, out: "" });
  expect(again.err).toBe("heddle: token ci: there is a token named ci\n");
});

test("tokens are listed with their ends, until they are revoked", async () => {
  const { run } = await fabric("list");
  const made = await run(
    ...["token", "create", "--name", "b", "--scope", "read", "--expires", "90d", "--json"],
  );
  const { expiresAt } = JSON.parse(made.out) as { expiresAt: string };
  const days = (Date.parse(expiresAt) - Date.now()) / 86_400_000;
  expect(days).toBeGreaterThan(89.9);
  expect(days).toBeLessThan(90.1);
  await run("token", "create", "--name", "a", "--scope", "admin");
  const listed = await run("token", "list");
  expect(lines(timeless(listed.out)).map((line) => line.trim().split(/ +/))).toEqual([
    ["NAME", "SCOPE", "EXPIRES", "STATE"],
    ["a", "admin", "-", "valid"],
    ["b", "read", "<t>", "valid"],
  ]);
  expect((await run("token", "revoke", "b")).out).toBe("token b: sequence 3\n");
  const twice = await run("token", "revoke", "b");
  expect(twice).toMatchObject({ code: 2, err: "heddle: token b: no token named b\n" });
  expect(JSON.parse((await run("token", "list", "--json")).out)).toMatchObject([{ name: "a" }]);
});

test("wrong scopes and names are refused", async () => {
  const { run } = await fabric("wrong");
  for (const [args, message] of [
    [["--name", "ci", "--scope", "root"], "expected read or write or admin"],
    [["--name", "c i", "--scope", "read"], "expected a name of 1 to 63"],
    [["--scope", "read"], "--name"],
  ] as const) {
    const ran = await run("token", "create", ...args);
    expect([ran.code, ran.out]).toEqual([2, ""]);
    expect(ran.err).toContain(message);
  }
});
