// A server under more connections than it has room for, over real sockets.

import { afterEach, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { openFiles } from "../../src/http/open-files.ts";
import { serveTcp, type TcpServer } from "../../src/http/tcp-server.ts";
import { until } from "../support/fabric.ts";

const LIMIT_MS = 10_000;
const REQUEST = "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n";

const sockets: Socket[] = [];
let server: TcpServer | null = null;

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await server?.close();
});

/** A connection that lives until somebody ends it. */
async function connected(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  sockets.push(socket);
  await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  socket.on("error", () => undefined);
  return socket;
}

function refused(url: string): Promise<boolean> {
  return connected(url).then(
    (socket) => !socket.destroy(),
    () => true,
  );
}

/** More than there is room for; some of the last are refused. */
async function many(url: string): Promise<readonly Socket[]> {
  const coming = Array.from({ length: 1100 }, () => connected(url).catch(() => null));
  return (await Promise.all(coming)).filter((socket) => socket !== null);
}

/** Streams a dot whenever `beat` is called. */
function streaming() {
  const beats = new Set<() => void>();
  const fetchStream = (request: Request): Response => {
    if (!request.url.endsWith("/stream")) return new Response("ok");
    let send: () => void = () => undefined;
    const body = new ReadableStream({
      start: (controller) => {
        controller.enqueue("begun ");
        send = () => controller.enqueue(".");
        beats.add(send);
      },
      cancel: () => void beats.delete(send),
    });
    return new Response(body);
  };
  const beat = (): void => {
    for (const each of beats) each();
  };
  return { app: { fetch: fetchStream }, beat };
}

test("beyond its connections a server refuses, streams go on, it listens again", async () => {
  const { app, beat } = streaming();
  // Both ends of a connection are this process's.
  server = serveTcp(app, { hostname: "127.0.0.1", port: 0 }, openFiles() + 2000);
  const { url } = server;
  const follower = await connected(url);
  let text = "";
  follower.on("data", (part) => {
    text += part.toString();
  });
  follower.write(REQUEST);
  await until("stream begun", LIMIT_MS, async () => text.includes("begun"));

  const busy = await many(url);
  for (const socket of busy) socket.write(REQUEST);
  await until("refused", LIMIT_MS, async () => await refused(url));
  text = "";
  beat();
  await until("the stream goes on", LIMIT_MS, async () => text.includes("."));

  for (const socket of busy) socket.destroy();
  await until("listens again", LIMIT_MS, async () => !(await refused(url)));
  expect(await (await fetch(`${url}/`)).text()).toBe("ok");
  text = "";
  beat();
  await until("the stream goes on", LIMIT_MS, async () => text.includes("."));
});

test("connections on which nothing is asked are ended when there are too many", async () => {
  const { app } = streaming();
  server = serveTcp(app, { hostname: "127.0.0.1", port: 0 }, openFiles() + 2000);
  const { url } = server;
  const closed = new Set<Socket>();
  for (const socket of await many(url)) {
    socket.once("close", () => closed.add(socket)).resume();
    socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  await until("ended", LIMIT_MS, async () => closed.size > 900);
  await until("answers", LIMIT_MS, async () => {
    const answer = await fetch(`${url}/`).catch(() => null);
    return answer?.status === 200;
  });
});
