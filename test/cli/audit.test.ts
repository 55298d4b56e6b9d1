// The commands for auditors, as processes, over a real nats-server and a server that signs.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encode } from "../../src/events/codec.ts";
import type { LogConnection } from "../../src/events/log-jetstream.ts";
import { subjectOf } from "../../src/events/subject.ts";
import { newToken } from "../../src/http/bearer.ts";
import { until } from "../support/fabric.ts";
import { TestNats } from "../support/nats.ts";
import { deleteMessage, deleteStream, makeStream } from "../support/nats-admin.ts";
import { SAMPLE_HEAD, storeSample } from "./fabric.ts";
import { heddle, lines, type Ran, spawnHeddle } from "./heddle.ts";

const LIMIT_MS = 10_000;

let dir: string;
let nats: TestNats;
let honest: Signed;

interface Signed {
  readonly fabric: string;
  readonly connection: LogConnection;
  readonly url: string;
  readonly pub: string;
  run(...args: string[]): Promise<Ran>;
  /** Until so many records are under a checkpoint. */
  signed(size: number): Promise<void>;
  stop(): Promise<void>;
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "heddle-audit-"));
  nats = await TestNats.start();
  honest = await signedFabric("sample");
  await honest.connection.createStream(1);
  await storeSample(honest.connection, "sample");
  await honest.signed(SAMPLE_HEAD);
});

afterAll(async () => {
  await honest.stop();
  await nats.close();
  await rm(dir, { recursive: true });
});

const path = (name: string): string => join(dir, name);

/** A server with a key of its own; the log may be made after it. */
async function signedFabric(fabric: string): Promise<Signed> {
  const at = ["--nats", nats.url, "--fabric", fabric];
  const made = await heddle(["audit", "keygen", path(`${fabric}.key`), "--fabric", fabric]);
  expect(made).toMatchObject({ code: 0, err: "" });
  await writeFile(path(`${fabric}.pub`), made.out);
  const server = spawnHeddle([
    ...["serve", ...at, "--http", "127.0.0.1:0", "--log-format", "json"],
    ...["--audit-key", path(`${fabric}.key`)],
  ]);
  let said = "";
  const write = (chunk: Uint8Array): void => {
    said += new TextDecoder().decode(chunk);
  };
  void server.stderr.pipeTo(new WritableStream({ write }));
  const listening = (): string | undefined => /"url":"([^"]+)"/.exec(said)?.[1];
  await until("it listens", LIMIT_MS, () => listening() !== undefined);
  const run = (...args: string[]): Promise<Ran> => heddle([...args, ...at]);
  return {
    fabric,
    connection: await nats.connect(fabric),
    url: listening() ?? "",
    pub: path(`${fabric}.pub`),
    run,
    signed: async (size) => {
      await until(`${size} are signed`, LIMIT_MS, async () => {
        const { code, out } = await run("audit", "checkpoint", "--json");
        return code === 0 && (JSON.parse(out) as { size: number }).size >= size;
      });
    },
    stop: async () => {
      server.kill("SIGTERM");
      await server.exited;
    },
  };
}

async function exportOf(signed: Signed, ...args: string[]): Promise<string> {
  const { code, out, err } = await signed.run("audit", "export", ...args);
  expect([code, err]).toEqual([0, ""]);
  const file = path(`${crypto.randomUUID()}.ndjson`);
  await writeFile(file, out);
  return file;
}

const verify = (file: string, ...args: string[]): Promise<Ran> =>
  heddle(["audit", "verify", file, "--key", honest.pub, ...args]);

describe("keygen", () => {
  test("prints the public half and never overwrites a key", async () => {
    const before = await readFile(path("sample.key"), "utf8");
    expect(before).toStartWith("PRIVATE+KEY+heddle/sample+");
    expect(await readFile(honest.pub, "utf8")).toStartWith("heddle/sample+");
    const again = await heddle(["audit", "keygen", path("sample.key"), "--fabric", "sample"]);
    expect(again.code).toBe(2);
    expect(again.err).toContain("exists already; a key is never overwritten");
    expect(await readFile(path("sample.key"), "utf8")).toBe(before);
  });

  test("a key that others can read, or of another fabric, is refused by serve", async () => {
    const serve = (...args: string[]) => heddle(["serve", "--nats", nats.url, ...args]);
    const foreign = await serve("--audit-key", path("sample.key"), "--fabric", "other");
    expect(foreign.code).toBe(2);
    expect(foreign.err).toContain("it is the key of heddle/sample, expected heddle/other");
    await writeFile(path("open.key"), await readFile(path("sample.key")), { mode: 0o644 });
    const open = await serve("--audit-key", path("open.key"), "--fabric", "sample");
    expect(open.code).toBe(2);
    expect(open.err).toContain("its mode is 0644, expected 0600");
  });
});

describe("an export of the real log", () => {
  test("is proven, from a file, standard input and the server", async () => {
    const file = await exportOf(honest);
    const expected = new RegExp(`records 1 to ${SAMPLE_HEAD} are as signed`);
    const fromFile = await verify(file);
    expect(fromFile).toMatchObject({ code: 0, err: "" });
    expect(fromFile.out).toMatch(expected);
    const stdin = await readFile(file, "utf8");
    const fromStdin = await heddle(["audit", "verify", "-", "--key", honest.pub], { stdin });
    expect([fromStdin.code, fromStdin.out]).toEqual([0, fromFile.out]);
  });

  test("is proven in parts, by sequence and by time", async () => {
    const json = async (file: string) => JSON.parse((await verify(file, "--json")).out) as object;
    const part = await exportOf(honest, "--from", "4", "--to", "7");
    expect(await json(part)).toMatchObject({ ok: true, from: 4, to: 7, signedTo: 7 });
    const [, third, , fifth] = lines(await readFile(await exportOf(honest), "utf8"))
      .map((line) => JSON.parse(line) as { kind: string; seq: number; time: string })
      .filter(({ kind }) => kind === "record")
      .slice(1);
    const timed = await exportOf(honest, "--from", third?.time ?? "", "--to", fifth?.time ?? "");
    expect(await json(timed)).toMatchObject({ ok: true });
  });

  test("that was damaged names the first bad sequence", async () => {
    const text = await readFile(await exportOf(honest), "utf8");
    const damage: readonly (readonly [string, string, RegExp])[] = [
      ["a payload", text.replace("10.5.3.0/24", "10.5.4.0/24"), /sequence 3: not the record that/],
      ["a record", text.replace(/^\{"kind":"record","seq":5,.*\n/m, ""), /sequence 5: missing; 6/],
      ["its end", text.slice(0, text.lastIndexOf('{"kind":"end"')), /sequence 12: missing; the/],
      [
        "a signature",
        text.replace(/(heddle\/sample )\S{8}/, "$1AAAAAAAA"),
        /sequence 1: .*not sig/,
      ],
      ["everything", "no export\n", /sequence 1: line 1 is not a line of an export/],
    ];
    for (const [what, damaged, why] of damage) {
      expect([what, damaged === text]).toEqual([what, false]);
      await writeFile(path("damaged"), damaged);
      const { code, out, err } = await verify(path("damaged"));
      expect([what, code, out]).toEqual([what, 1, ""]);
      expect(err).toMatch(why);
    }
    const { code, out } = await verify(path("damaged"), "--json");
    expect([code, JSON.parse(out)]).toEqual([
      1,
      expect.objectContaining({ ok: false, seq: 1, through: 1, signedTo: 0 }),
    ]);
  });

  test("is not proven by another key", async () => {
    const other = await heddle(["audit", "keygen", path("x.key"), "--fabric", "sample", "--json"]);
    const { key } = JSON.parse(other.out) as { key: string };
    const file = await exportOf(honest);
    const { code, err } = await heddle(["audit", "verify", file, "--key", key]);
    expect(code).toBe(1);
    expect(err).toContain(`sequence 1: the checkpoint of`);
    const nonsense = await heddle(["audit", "verify", file, "--key", "a+b"]);
    expect(nonsense.code).toBe(2);
  });
});

test("an export is verified from the server's address, with a token", async () => {
  const signed = await signedFabric("web");
  try {
    await signed.connection.createStream(1);
    const { text, hash } = newToken("auditor");
    const data = { name: "auditor", hash, scopes: ["read" as const], expiresAt: null };
    const draft = { type: "TokenCreated", data } as const;
    const payload = encode(draft, "token");
    const message = { subject: subjectOf("web", draft), payload, id: "token" };
    await signed.connection.log.append(message);
    await signed.signed(1);
    await writeFile(path("token"), `${text}\n`);
    const check = ["audit", "verify", `${signed.url}/v1/audit/export`, "--key", signed.pub];
    const ran = await heddle([...check, "--token-file", path("token")]);
    expect(ran).toMatchObject({ code: 0, err: "" });
    expect(ran.out).toContain("records 1 to 1 are as signed");
    expect((await heddle(check)).err).toContain("the server answered 401");
  } finally {
    await signed.stop();
  }
});

test("a proof is checked by itself, and names a changed record", async () => {
  const { code, out } = await honest.run("audit", "proof", "3");
  expect(code).toBe(0);
  await writeFile(path("proof"), out);
  const checked = await verify(path("proof"));
  expect(checked.out).toMatch(/^3 \d{13} heddle\.sample\.node\.h1\.lease/);
  const record = Buffer.from(/^extra (.*)$/m.exec(out)?.[1] ?? "", "base64").toString();
  const changed = Buffer.from(record.replace("10.5.3.0", "10.5.4.0")).toString("base64");
  await writeFile(path("proof"), out.replace(/^extra .*$/m, `extra ${changed}`));
  const refuted = await verify(path("proof"));
  expect(refuted.code).toBe(1);
  expect(refuted.err).toContain("sequence 3: the hashes do not lead to the checkpoint");
  expect((await honest.run("audit", "proof", "999")).code).toBe(2);
});

test("a record that is gone from the stream is named", async () => {
  await makeStream(nats.url, { name: "HEDDLE_HOLE", subjects: ["heddle.hole.>"] });
  const hole = await signedFabric("hole");
  try {
    await storeSample(hole.connection, "hole");
    await hole.signed(SAMPLE_HEAD);
    for (const [gone, first] of [
      [[4], 4],
      [[1, 2], 1],
    ] as const) {
      for (const seq of gone) await deleteMessage(nats.url, "HEDDLE_HOLE", seq);
      const file = await exportOf(hole);
      const { code, err } = await heddle(["audit", "verify", file, "--key", hole.pub]);
      expect(code).toBe(1);
      expect(err).toContain(`sequence ${first}: the log does not hold it`);
      const records = lines(await readFile(file, "utf8")).filter((line) => /"record"/.test(line));
      expect(records.length).toBe(SAMPLE_HEAD - (first === 4 ? 1 : 3));
    }
  } finally {
    await hole.stop();
  }
});

test("a stream that was made again is not the log that was signed", async () => {
  const signed = await signedFabric("again");
  try {
    await signed.connection.createStream(1);
    await storeSample(signed.connection, "again");
    await signed.signed(SAMPLE_HEAD);
    const kept = await signed.run("audit", "checkpoint", "--key", signed.pub);
    await writeFile(path("kept"), kept.out);
    await deleteStream(nats.url, "HEDDLE_AGAIN");
    await signed.connection.createStream(1);
    await storeSample(signed.connection, "again");
    const file = await exportOf(signed);
    const found = await heddle(["audit", "verify", file, "--key", signed.pub]);
    expect(found.code).toBe(1);
    expect(found.err).toContain("sequence 1: not the record that was signed");
    // Nor with the checkpoints gone too, for who kept one.
    await deleteStream(nats.url, "HEDDLE_AGAIN_CHECKPOINTS");
    const bare = await exportOf(signed);
    const check = ["audit", "verify", bare, "--key", signed.pub, "--kept", path("kept")];
    const refuted = await heddle(check);
    expect(refuted.code).toBe(1);
    expect(refuted.err).toContain(`one of the sequences 1 to ${SAMPLE_HEAD}: not as in the kept`);
  } finally {
    await signed.stop();
  }
});

test("a fabric that nobody signs says what to do", async () => {
  const connection = await nats.connect("unsigned");
  await connection.createStream(1);
  const at = ["--nats", nats.url, "--fabric", "unsigned"];
  const { code, err } = await heddle(["audit", "checkpoint", ...at]);
  expect(code).toBe(1);
  expect(err).toContain("start `heddle serve` with --audit-key");
  const exported = await heddle(["audit", "export", ...at]);
  expect([exported.code, lines(exported.out).length]).toEqual([0, 2]);
});
