// The log on a cluster of three real nats-servers: one winner per expected sequence, and nothing
// lost or repeated when the member that leads the stream is killed.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { LogError } from "../../src/events/log.ts";
import type { LogConnection } from "../../src/events/log-jetstream.ts";
import { isAtLeast } from "../../src/events/nats-version.ts";
import { bytes, text } from "../support/contract-log.ts";
import { follow, until } from "../support/follow-log.ts";
import { TestNats } from "../support/nats.ts";
import { streamLeader } from "../support/nats-admin.ts";
import { TestCluster } from "../support/nats-cluster.ts";

const FABRIC = "c-1";
const STREAM = "HEDDLE_C_1";
const SUBJECT = `heddle.${FABRIC}.node.h1.lease`;
const REPLICAS = 3;
const ROUNDS = 30;
const CONTENDERS = 9;

const version = await installedVersion();
const canReplicate = isAtLeast(version, 2, 10);

let cluster: TestCluster;

beforeEach(async () => {
  cluster = await TestCluster.start();
});
afterEach(() => cluster.close());

if (!canReplicate) {
  process.stderr.write(`SKIPPED: replicated log: nats-server is ${version}, 2.10 is needed\n`);
  test("a server that loses races in replicated streams is refused", async () => {
    const connection = await cluster.connect(FABRIC);
    const replicated = connection.createStream(REPLICAS);
    await expect(replicated).rejects.toThrow("loses races in replicated streams");
  });
}

describe.skipIf(!canReplicate)("a replicated log", () => {
  test("has one winner among many who expect the same sequence", async () => {
    const contenders = await Promise.all(
      Array.from({ length: CONTENDERS }, (_, index) => {
        const url = cluster.urls[index % cluster.urls.length] ?? "";
        return cluster.connect(FABRIC, [url]);
      }),
    );
    await createReplicated(contenders[0]);
    let last = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      const answers = await Promise.all(
        contenders.map(({ log }, index) =>
          log.append({ ...message(`r${round}-${index}`), expectLastSubjectSeq: last }),
        ),
      );
      const winners = answers.flatMap((answer) => (answer.ok ? [answer.seq] : []));
      expect(winners).toEqual([last + 1]);
      last += 1;
    }
  });

  test("loses and repeats nothing when its leader is killed", async () => {
    const writer = await cluster.connect(FABRIC);
    await createReplicated(writer);
    const reader = await cluster.connect(FABRIC);
    const appending = appendAll(writer, 300);
    const following = follow(reader.log, 300);
    await until(async () => (await reader.log.info()).lastSeq > 50);
    const leader = await streamLeader(cluster.urls[0] ?? "", STREAM);
    await cluster.kill9(leader);
    await until(async () => (await reader.log.info()).lastSeq > 150);
    await cluster.startAgain(leader);
    await appending;
    expect((await following).map(text)).toEqual(names(300));
  });
});

/** A cluster that has just started does not know its members yet. */
async function createReplicated(connection: LogConnection | undefined): Promise<void> {
  await until(async () => {
    await connection?.createStream(REPLICAS).catch((error: unknown) => {
      const young = error instanceof LogError && error.message.includes("no suitable peers");
      throw young ? new LogError("unreachable", error.message) : error;
    });
    return true;
  });
}

async function appendAll({ log }: LogConnection, count: number): Promise<void> {
  for (const name of names(count)) await log.append(message(name));
}

function names(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `m${index}`);
}

function message(id: string): { subject: string; payload: Uint8Array; id: string } {
  return { subject: SUBJECT, payload: bytes(id), id };
}

async function installedVersion(): Promise<string> {
  const nats = await TestNats.start();
  const connection = await nats.connect(FABRIC);
  const found = connection.serverVersion() ?? "";
  await nats.close();
  return found;
}
