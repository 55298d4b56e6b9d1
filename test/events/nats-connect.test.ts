// Connecting to a real nats-server that is not there yet, goes away or never answers.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { connectLog } from "../../src/events/log-jetstream.ts";
import { bytes } from "../support/contract-log.ts";
import { kindOf } from "../support/kind-of.ts";
import { TestNats } from "../support/nats.ts";

const FABRIC = "t-1";
const LONG_MS = 300_000;

let nats: TestNats;

beforeEach(async () => {
  nats = await TestNats.start();
  await (await nats.connect(FABRIC)).createStream(1);
});
afterEach(() => nats.close());

describe("connection", () => {
  test("fails at once, naming the server, when nothing listens", async () => {
    const url = nats.url;
    await nats.stop();
    const failure = await connectLog({ servers: url, fabric: FABRIC }).catch((e: unknown) => e);
    expect(failure).toMatchObject({ kind: "unreachable" });
    expect(failure).toHaveProperty("message", `${url}: connection refused`);
  });

  test("that keeps trying begins without a server and uses it when it comes", async () => {
    await nats.stop();
    const patient = await nats.connect(FABRIC, { keepTrying: true });
    expect(patient.connected()).toBeFalse();
    expect(patient.serverVersion()).toBeNull();
    expect(await kindOf(patient.log.info())).toBe("unreachable");
    const appending = patient.log.append(message("a"));
    await nats.startAgain();
    expect(await appending).toMatchObject({ ok: true, seq: 1 });
    expect(patient.connected()).toBeTrue();
  });

  test("that is lost ends the calls that wait for an answer", async () => {
    const patient = await nats.connect(FABRIC, { timeoutMs: LONG_MS });
    await nats.freeze();
    const asking = kindOf(patient.log.info());
    await nats.kill9();
    expect(await asking).toBe("unreachable");
    await nats.startAgain();
  });

  test("that keeps trying can be closed before there is a server", async () => {
    await nats.stop();
    const patient = await connectLog({ servers: nats.url, fabric: FABRIC, keepTrying: true });
    await patient.close();
    expect(await kindOf(patient.log.info())).toBe("unreachable");
  });
});

function message(id: string) {
  return { subject: `heddle.${FABRIC}.node.h1.lease`, payload: bytes(id), id };
}
