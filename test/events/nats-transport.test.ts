// The socket under the NATS client: with and without TLS, slow, greeted in pieces, not by NATS.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LogError } from "../../src/events/log.ts";
import { connectLog } from "../../src/events/log-jetstream.ts";
import { claim, connect } from "../../src/events/nats-transport.ts";
import { take, text } from "../support/contract-log.ts";
import { until } from "../support/follow-log.ts";
import { TestNats } from "../support/nats.ts";

const FABRIC = "t";
const SUBJECT = "heddle.t.node.h1.report";

const INFO = 'INFO {"server_id":"x","version":"2.9.10","proto":1,"max_payload":1048576}\r\n';
/** Together more than two sockets hold. */
const LARGE = Array.from({ length: 24 }, (_, i) => {
  return new TextEncoder().encode(`<${i}>`.padStart(900_000, "."));
});

describe("a server with TLS", () => {
  let nats: TestNats;
  let dir: string;
  let servers: string;
  let tls: { caFile: string };

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "heddle-test-"));
    const [key, cert] = [join(dir, "key.pem"), join(dir, "cert.pem")];
    const made = Bun.spawnSync([
      ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
      ...["-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=127.0.0.1"],
      ...["-addext", "subjectAltName=IP:127.0.0.1"],
    ]);
    expect(made.exitCode).toBe(0);
    tls = { caFile: cert };
    nats = await TestNats.start(`tls { cert_file: "${cert}", key_file: "${key}" }`);
    servers = `nats://${new URL(nats.url).host}`;
  });
  afterAll(async () => {
    await nats.close();
    await rm(dir, { recursive: true, force: true });
  });

  test("is spoken to with TLS, also after it was away", async () => {
    const client = await nats.connect(FABRIC, { servers, tls });
    await client.createStream(1);
    expect(await client.log.append(report("a"))).toMatchObject({ seq: 1 });
    await nats.kill9();
    const appending = client.log.append(report("b"));
    await nats.startAgain();
    expect(await appending).toMatchObject({ seq: 2 });
    expect((await client.log.get(2))?.subject).toBe(SUBJECT);
    expect((await take(client.log, 1, 2)).map(text)).toEqual(["a", "b"]);
  });

  test("is not believed when nobody known speaks for its certificate", async () => {
    const failure = await failureOf(connectLog({ servers, fabric: FABRIC }));
    expect(failure.kind).toBe("unreachable");
    expect(failure.message).toContain("certificate");
  });
});

describe("a server that", () => {
  test("greets in pieces is understood", async () => {
    using server = listen(async (socket, said) => {
      if (said === "") {
        socket.write(INFO.slice(0, 20));
        await turns();
        socket.write(INFO.slice(20));
      } else if (said.includes("PING")) socket.write("PONG\r\n");
    });
    const client = await connectLog({ servers: `127.0.0.1:${server.port}`, fabric: FABRIC });
    expect(client.serverVersion()).toBe("2.9.10");
    await client.close();
  });

  test("reads slowly gets everything, in order", async () => {
    const heard: string[] = [];
    let unread = "";
    const all = Promise.withResolvers<void>();
    let reading: Bun.Socket | null = null;
    using server = listen((socket, said) => {
      if (said === "") socket.write(INFO);
      unread += said;
      for (const payload of unread.match(/<\d+>/g) ?? []) heard.push(payload);
      unread = unread.slice(unread.lastIndexOf(">") + 1);
      if (heard.at(-1) === `<${LARGE.length - 1}>`) all.resolve();
      if (!said.includes("PING") || reading !== null) return;
      socket.write("PONG\r\n");
      socket.pause();
      reading = socket;
    });
    const client = await connectLog({ servers: `127.0.0.1:${server.port}`, fabric: FABRIC });
    const appending = LARGE.map((payload, i) => client.log.append(report(`${i}`, payload)));
    // The client writes what there is room for.
    await turns();
    (reading as Bun.Socket | null)?.resume();
    await all.promise;
    expect(heard).toEqual(LARGE.map((_, i) => `<${i}>`));
    await client.close();
    await Promise.allSettled(appending);
  });

  test("is heard by who claimed a subscription, and by the client after that", async () => {
    using server = listen((socket, said) => {
      if (said === "") socket.write(INFO);
      if (said.includes("PING")) socket.write("PONG\r\n");
      for (const [, word] of said.matchAll(/PUB (\w+) 0/g)) {
        socket.write(`MSG ${word} 1 ${word?.length}\r\n${word}\r\n`);
      }
    });
    const nc = await connect({ servers: `127.0.0.1:${server.port}` });
    let heard = Promise.withResolvers<string>();
    const subscription = nc.subscribe("*", {
      callback: (_, message) => heard.resolve(`client: ${message.string()}`),
    });
    const release = claim(nc, subscription, (bytes, { payloadAt, payloadEnd }) => {
      heard.resolve(`claim: ${bytes.toString("utf8", payloadAt, payloadEnd)}`);
      return true;
    });
    nc.publish("one");
    expect(await heard.promise).toBe("claim: one");
    heard = Promise.withResolvers();
    release();
    nc.publish("two");
    expect(await heard.promise).toBe("client: two");
    await nc.close();
  });

  test("speaks something else is named", async () => {
    using server = listen((socket) => socket.write("220 mail.example.com ESMTP\r\n"));
    const servers = `127.0.0.1:${server.port}`;
    const failure = await failureOf(connectLog({ servers, fabric: FABRIC }));
    expect(failure.message).toBe(`${servers}: unexpected response from server`);
  });

  test("never ends its first line is given up long before the time is", async () => {
    let stopped = false;
    using server = listen(async (socket) => {
      while (!stopped) {
        socket.write("x".repeat(65_536));
        await turns();
      }
    });
    const servers = `127.0.0.1:${server.port}`;
    const failure = await failureOf(connectLog({ servers, fabric: FABRIC, timeoutMs: 60_000 }));
    stopped = true;
    expect(failure.message).toBe(`${servers}: unexpected response from server`);
  });

  test("listens on IPv6 only is spoken to", async () => {
    const greet = (socket: Bun.Socket, said: string) => {
      if (said === "") socket.write(INFO);
      else if (said.includes("PING")) socket.write("PONG\r\n");
    };
    using server = listen(greet, { hostname: "::1" });
    const client = await connectLog({ servers: `nats://[::1]:${server.port}`, fabric: FABRIC });
    expect(client.connected()).toBe(true);
    await client.close();
  });

  test("is silent is given up in the time allowed, and its socket is closed", async () => {
    const closed = Promise.withResolvers<void>();
    using server = listen(() => undefined, { onClose: closed.resolve });
    const servers = `127.0.0.1:${server.port}`;
    const failure = await failureOf(connectLog({ servers, fabric: FABRIC, timeoutMs: 50 }));
    expect(failure.message).toBe(`${servers}: no answer in time`);
    await closed.promise;
  });

  test("hangs up before it lets us in is given up at once, with its reason", async () => {
    using server = listen((socket, said) => {
      if (said === "") socket.write(INFO);
      else socket.end("-ERR 'maximum connections exceeded'\r\n");
    });
    const servers = `127.0.0.1:${server.port}`;
    const failure = await failureOf(connectLog({ servers, fabric: FABRIC, timeoutMs: 60_000 }));
    expect(failure.message).toBe(`${servers}: maximum connections exceeded`);
  });

  test("hangs up without a reason before it lets us in is named", async () => {
    using server = listen((socket, said) => {
      if (said === "") socket.end(INFO);
    });
    const servers = `127.0.0.1:${server.port}`;
    const failure = await failureOf(connectLog({ servers, fabric: FABRIC, timeoutMs: 60_000 }));
    expect(failure.message).toBe(`${servers}: closed by the server`);
  });

  test("hangs up before it lets us in again is tried again", async () => {
    let comes = 0;
    using server = listen((socket, said) => {
      if (said === "") {
        comes++;
        socket.write(INFO);
      } else if (comes === 2) socket.end("-ERR 'maximum connections exceeded'\r\n");
      else if (said.includes("PING")) socket.write("PONG\r\n");
    });
    const servers = `127.0.0.1:${server.port}`;
    const client = await connectLog({ servers, fabric: FABRIC, timeoutMs: 60_000 });
    client.redial();
    await until(async () => comes === 3 && client.connected());
    await client.close();
  });

  test("hangs up before it says a word is named", async () => {
    using server = listen((socket) => socket.end());
    const servers = `127.0.0.1:${server.port}`;
    const failure = await failureOf(connectLog({ servers, fabric: FABRIC }));
    expect(failure).toMatchObject({ kind: "unreachable" });
    expect(failure.message).toBe(`${servers}: closed by the server`);
  });
});

/** Of the event loop: enough for what is on its way between two sockets of this process. */
async function turns(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** `answer` hears "" from a client that has just come. */
function listen(
  answer: (socket: Bun.Socket, said: string) => unknown,
  { hostname = "127.0.0.1", onClose = (): void => undefined } = {},
) {
  const server = Bun.listen({
    ...{ hostname, port: 0 },
    socket: {
      open: (socket) => void answer(socket, ""),
      data: (socket, said) => void answer(socket, said.toString()),
      close: onClose,
    },
  });
  return { port: server.port, [Symbol.dispose]: () => server.stop(true) };
}

function report(id: string, payload: Uint8Array = new TextEncoder().encode(id)) {
  return { subject: SUBJECT, payload, id };
}

async function failureOf(connecting: Promise<unknown>): Promise<LogError> {
  const failure = await connecting.then(
    () => null,
    (error: unknown) => error,
  );
  if (!(failure instanceof LogError)) throw new Error(`no LogError: ${failure}`);
  return failure;
}
