// Webhooks of `heddle serve` processes that end in every way while events come: what a receiver
// has at the end.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encode } from "../../src/events/codec.ts";
import type { Draft } from "../../src/events/event.ts";
import type { LogConnection } from "../../src/events/log-jetstream.ts";
import { subjectOf } from "../../src/events/subject.ts";
import { secretOf } from "../../src/http/webhook-key.ts";
import { heddle, spawnHeddle } from "../cli/heddle.ts";
import { until } from "../support/fabric.ts";
import { TestNats } from "../support/nats.ts";
import { Receiver } from "../support/receiver.ts";

const FABRIC = "hooked";
const EVENTS = 60;

interface Server {
  readonly url: string;
  readonly child: Bun.Subprocess;
}

let nats: TestNats;
let connection: LogConnection;
let receiver: Receiver;
let dir: string;
let token: string;
const children: Bun.Subprocess[] = [];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "heddle-webhook-"));
  receiver = new Receiver();
  nats = await TestNats.start();
  connection = await nats.connect(FABRIC);
  await connection.createStream(1);
  const fabric = ["--nats", nats.url, "--fabric", FABRIC];
  const made = await heddle(["token", "create", "--name", "ci", "--scope", "admin", ...fabric]);
  token = made.out.trim();
  const key = Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64");
  writeFileSync(join(dir, "key"), `${key}\n`, { mode: 0o600 });
});

afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill("SIGKILL");
    await child.exited;
  }
  await nats.close();
  await receiver.close();
  rmSync(dir, { recursive: true });
});

async function serve(env: Readonly<Record<string, string>> = {}): Promise<Server> {
  const child = spawnHeddle(
    [
      ...["serve", "--nats", nats.url, "--fabric", FABRIC, "--http", "127.0.0.1:0"],
      ...["--webhook-key", join(dir, "key"), "--webhook-allow", "127.0.0.0/8,::1/128"],
      ...["--log-format", "json"],
    ],
    { env },
  );
  children.push(child);
  const reader = child.stderr.getReader();
  const { value } = await reader.read();
  const [line = ""] = new TextDecoder().decode(value).split("\n");
  void (async () => {
    while (!(await reader.read()).done);
  })();
  const { url } = JSON.parse(line) as { url: string };
  await until("ready", 10_000, async () => (await fetch(`${url}/readyz`)).ok);
  return { url, child };
}

async function ask<T>({ url }: Server, path: string, body?: object): Promise<T> {
  const answer = await fetch(`${url}${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
  return JSON.parse(text) as T;
}

async function append(draft: Draft): Promise<number> {
  const id = crypto.randomUUID();
  const subject = subjectOf(FABRIC, draft);
  const stored = await connection.log.append({ subject, payload: encode(draft, id), id });
  if (!stored.ok) throw new Error(stored.reason);
  return stored.seq;
}

function degraded(node: string): Promise<number> {
  return append({ type: "HostDegraded", data: { node, problems: ["x"] } });
}

/** Every event came, and each for the first time after those before it. */
function expectAllInOrder(seqs: readonly number[]): void {
  expect([...new Set(receiver.seqs())]).toEqual([...seqs]);
}

test.each(["SIGKILL", "SIGTERM"] as const)(
  "a server that ends by %s in the middle of a delivery loses none",
  async (signal) => {
    const first = await serve();
    await ask(first, "/v1/hooks", { name: "ci", url: receiver.url });
    const seqs: number[] = [];
    const gate = Promise.withResolvers<void>();
    receiver.answer = async (_, count) => {
      if (count === 5) await gate.promise;
      return new Response();
    };
    for (let i = 0; i < EVENTS / 2; i++) seqs.push(await degraded(`h${i}`));
    await receiver.count(5);
    first.child.kill(signal);
    await first.child.exited;
    // Nobody serves while these come.
    for (let i = 0; i < EVENTS / 2; i++) seqs.push(await degraded(`h${i}`));
    gate.resolve();
    await serve();
    await receiver.until(() => receiver.seqs().includes(seqs.at(-1) ?? 0));
    expectAllInOrder(seqs);
    // The one that was under way came again; no other did.
    expect(receiver.seqs().length).toBe(EVENTS + 1);
  },
  60_000,
);

test("of two servers either may be killed, again and again", async () => {
  let servers = [await serve(), await serve()];
  const [any] = servers;
  if (any === undefined) throw new Error("no server");
  await ask(any, "/v1/hooks", { name: "ci", url: receiver.url });
  const seqs: number[] = [];
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < EVENTS / 3; i++) seqs.push(await degraded(`h${i}`));
    const [oldest, ...others] = servers;
    oldest?.child.kill("SIGKILL");
    await oldest?.child.exited;
    servers = [...others, await serve()];
  }
  await receiver.until(() => receiver.seqs().includes(seqs.at(-1) ?? 0));
  expectAllInOrder(seqs);
}, 60_000);

test("a nats-server that is killed and comes back loses none", async () => {
  const server = await serve();
  await ask(server, "/v1/hooks", { name: "ci", url: receiver.url });
  const seqs: number[] = [];
  for (let i = 0; i < 10; i++) seqs.push(await degraded(`h${i}`));
  await receiver.count(5);
  await nats.kill9();
  await nats.startAgain();
  await until("connected", 10_000, () => connection.connected());
  for (let i = 0; i < 10; i++) seqs.push(await degraded(`h${i}`));
  await receiver.until(() => receiver.seqs().includes(seqs.at(-1) ?? 0));
  expect(new Set(receiver.seqs())).toEqual(new Set(seqs));
}, 60_000);

test("the guide's receiver starts a workflow for each event, once", async () => {
  const guide = readFileSync(new URL("../../docs/webhooks.md", import.meta.url), "utf8");
  const [, program = ""] = /```js\n(import \{ createServer[\s\S]*?)```/.exec(guide) ?? [];
  writeFileSync(join(dir, "receiver.mjs"), program);
  symlinkSync(new URL("../../node_modules", import.meta.url).pathname, join(dir, "node_modules"));
  const server = await serve();
  const key = Buffer.from(readFileSync(join(dir, "key"), "utf8"), "base64");
  // Where the receiver listens is in the webhook, and it has the secret before.
  const { lastSeq } = await connection.log.info();
  const target = { name: "ci", url: "", types: [], nodes: [], addedSeq: lastSeq + 1 };
  const secret = secretOf(key, FABRIC, target);
  receiver.answer = (_, count) => new Response(null, { status: count === 1 ? 500 : 204 });
  const child = Bun.spawn(["node", join(dir, "receiver.mjs")], {
    env: {
      ...{ PATH: process.env.PATH ?? "", PORT: "0", HEDDLE_WEBHOOK_SECRET: secret },
      ...{ GITHUB_API_URL: new URL(receiver.url).origin },
      ...{ GITHUB_REPOSITORY: "acme/network", GITHUB_TOKEN: "t" },
    },
    stdout: "pipe",
  });
  children.push(child);
  const { value } = await child.stdout.getReader().read();
  const port = new TextDecoder().decode(value).replace("port", "").trim();
  const hook = { name: "ci", url: `http://127.0.0.1:${port}/` };
  expect(await ask<object>(server, "/v1/hooks", hook)).toMatchObject({ secret });
  const seq = await degraded("h1");
  const [refused, started] = await receiver.count(2);
  for (const each of [refused, started]) {
    expect(each).toMatchObject({ path: "/repos/acme/network/dispatches" });
    expect(JSON.parse(each?.body ?? "")).toMatchObject({
      event_type: "heddle.HostDegraded",
      client_payload: { event: { id: String(seq), subject: "h1" } },
    });
  }
  const forged = await fetch(hook.url, { method: "POST", body: started?.body ?? "" });
  expect(forged.status).toBe(401);
}, 60_000);

test("https needs a certificate that fits the name and that somebody vouches for", async () => {
  const [key, cert] = [join(dir, "tls.key"), join(dir, "tls.crt")];
  const made = Bun.spawnSync([
    ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    ...["-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost"],
    ...["-addext", "subjectAltName=DNS:localhost"],
  ]);
  expect(made.exitCode).toBe(0);
  let taken = 0;
  const tls = Bun.serve({
    ...{ hostname: "127.0.0.1", port: 0, tls: { key: Bun.file(key), cert: Bun.file(cert) } },
    fetch: () => new Response(String(taken++)),
  });
  try {
    const trusting = await serve({ NODE_EXTRA_CA_CERTS: cert });
    await ask(trusting, "/v1/hooks", { name: "name", url: `https://localhost:${tls.port}/` });
    await ask(trusting, "/v1/hooks", { name: "number", url: `https://127.0.0.1:${tls.port}/` });
    const good = await ask<object>(trusting, "/v1/hooks/name/test", {});
    expect(good).toEqual({ delivered: true, status: 200, reason: null });
    const misnamed = await ask<object>(trusting, "/v1/hooks/number/test", {});
    expect(misnamed).toMatchObject({ delivered: false, status: null });
    trusting.child.kill("SIGKILL");
    await trusting.child.exited;
    const before = taken;
    const wary = await serve();
    const unknown = await ask<object>(wary, "/v1/hooks/name/test", {});
    expect(unknown).toMatchObject({ delivered: false, status: null });
    expect(taken).toBe(before);
  } finally {
    await tls.stop(true);
  }
}, 60_000);
