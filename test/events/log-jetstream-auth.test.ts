// What a host can do with the permissions it needs and no more, and how refusals are told.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LogError } from "../../src/events/log.ts";
import { connectLog, type LogConnection } from "../../src/events/log-jetstream.ts";
import { bytes, take, text } from "../support/contract-log.ts";
import { TestNats } from "../support/nats.ts";
import { makeNkey } from "../support/nats-admin.ts";

const FABRIC = "t";
const NKEY = makeNkey();
const INBOX = "_INBOX_h1";

/** Everything that the log and the status board of host h1 need. */
const HOST_PUBLISH = [
  "heddle.t.node.h1.>",
  "heddle-status.t.h1",
  "$JS.API.STREAM.INFO.HEDDLE_T",
  "$JS.API.STREAM.INFO.HEDDLE_T_STATUS",
  "$JS.API.STREAM.MSG.GET.HEDDLE_T",
  "$JS.API.CONSUMER.CREATE.HEDDLE_T",
  "$JS.API.CONSUMER.MSG.NEXT.HEDDLE_T.*",
  "$JS.API.CONSUMER.CREATE.HEDDLE_T_STATUS",
  "$JS.API.CONSUMER.MSG.NEXT.HEDDLE_T_STATUS.*",
];

const CONFIG = `
authorization {
  users: [
    { user: admin, password: "p@ss/word" }
    { nkey: ${NKEY.publicKey}, permissions: {
        publish: { allow: ${JSON.stringify(HOST_PUBLISH)} }
        subscribe: { allow: ["${INBOX}.>"] } } }
    { user: mute, password: "4711", permissions: {
        publish: { deny: ["$JS.API.CONSUMER.MSG.NEXT.>"] } } }
  ]
}`;

let nats: TestNats;
let dir: string;
let nkeyFile: string;
let admin: LogConnection;
let host: LogConnection;

beforeAll(async () => {
  nats = await TestNats.start(CONFIG);
  dir = await mkdtemp(join(tmpdir(), "heddle-test-"));
  nkeyFile = join(dir, "host.nk");
  await writeFile(nkeyFile, `${NKEY.seed}\n`);
  admin = await nats.connect(FABRIC, { servers: urlOf("admin", "p@ss/word") });
  await admin.createStream(1);
  host = await nats.connect(FABRIC, { nkeyFile, inboxPrefix: INBOX });
});
afterAll(async () => {
  await nats.close();
  await rm(dir, { recursive: true, force: true });
});

describe("a host with its own permissions", () => {
  test("appends and reads, gets a record and publishes its status", async () => {
    const subject = "heddle.t.node.h1.lease";
    const appended = await host.log.append({ subject, payload: bytes("a"), id: "a" });
    const seq = appended.ok ? appended.seq : 0;
    expect((await take(host.log, seq, 1)).map(text)).toEqual(["a"]);
    expect(text(await host.log.get(seq))).toBe("a");
    const again = { subject, payload: bytes("b"), id: "b", expectLastSubjectSeq: seq + 7 };
    expect(await host.log.append(again)).toEqual({ ok: false, reason: "conflict" });
    await host.status.publish("h1", bytes("s"));
    expect((await host.status.list()).map(({ node }) => node)).toEqual(["h1"]);
  });

  test("cannot write for another host, and is told why", async () => {
    const subject = "heddle.t.node.h2.lease";
    const { lastSeq } = await host.log.info();
    const failure = await failureOf(host.log.append({ subject, payload: bytes("a"), id: "x" }));
    expect(failure.kind).toBe("refused");
    expect(failure.message).toContain(`"${subject}"`);
    expect((await failureOf(host.status.publish("h2", bytes("s")))).kind).toBe("refused");
    expect((await host.log.info()).lastSeq).toBe(lastSeq);
    expect(host.connected()).toBeTrue();
  });

  test("cannot make or change streams", async () => {
    const other = await nats.connect("other", { nkeyFile, inboxPrefix: INBOX });
    expect((await failureOf(other.createStream(1))).kind).toBe("refused");
  });

  test("that may not use its inbox is refused at once", async () => {
    const deaf = await nats.connect(FABRIC, { nkeyFile });
    expect((await failureOf(deaf.log.info())).kind).toBe("refused");
    expect((await failureOf(take(deaf.log, 1, 1))).kind).toBe("refused");
  });

  test("that may not pull is refused at once", async () => {
    const mute = await nats.connect(FABRIC, { servers: urlOf("mute", "4711") });
    expect((await failureOf(take(mute.log, 1, 99))).kind).toBe("refused");
  });
});

describe("credentials", () => {
  test("that are wrong are refused, and do not appear in the message", async () => {
    const failure = await failureOf(connectLog({ servers: urlOf("admin", "no"), fabric: FABRIC }));
    expect(failure.kind).toBe("refused");
    expect(failure.message).toContain(nats.url);
    expect(failure.message).not.toContain("admin");
  });

  test("in a file that cannot be read are named by the file", async () => {
    for (const [what, options] of Object.entries({
      creds: { credsFile: "/nonexistent/file" },
      nkey: { nkeyFile: "/nonexistent/file" },
      tls: { tls: { caFile: "/nonexistent/file" } },
    })) {
      const failure = await failureOf(
        connectLog({ servers: nats.url, fabric: FABRIC, ...options }),
      );
      expect(failure.kind).toBe("refused");
      expect(failure.message).toContain(`${what} file`);
      expect(failure.message).toContain("/nonexistent/file");
    }
  });

  test("in a file that holds none are refused", async () => {
    const empty = join(dir, "empty");
    await writeFile(empty, "nothing\n");
    for (const options of [{ credsFile: empty }, { nkeyFile: empty }]) {
      const connecting = connectLog({ servers: nats.url, fabric: FABRIC, ...options });
      const failure = await failureOf(connecting);
      expect(failure.kind).toBe("refused");
      expect(failure.message).toContain(empty);
    }
  });
});

function urlOf(user: string, password: string): string {
  return nats.url.replace("//", `//${user}:${encodeURIComponent(password)}@`);
}

async function failureOf(call: Promise<unknown>): Promise<LogError> {
  try {
    await call;
  } catch (error) {
    if (error instanceof LogError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}
