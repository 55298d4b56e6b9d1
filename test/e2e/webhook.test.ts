// Webhooks of `heddle serve` processes that end in every way while events come: what a receiver
// has at the end.

import { expect, test } from "bun:test";
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
import { firstLine } from "../support/first-line.ts";
import { TestNats } from "../support/nats.ts";
import { Receiver } from "../support/receiver.ts";

const FABRIC = "hooked";
const EVENTS = 60;

interface Server {
  readonly url: string;
  readonly child: Bun.Subprocess;
}

/** One log, one receiver and any number of servers. Disposing ends them all. */
class Site {
  readonly nats: TestNats;
  readonly connection: LogConnection;
  readonly receiver = new Receiver();
  readonly dir = mkdtempSync(join(tmpdir(), "heddle-webhook-"));
  readonly children: Bun.Subprocess[] = [];
  #token = "";

  private constructor(nats: TestNats, connection: LogConnection) {
    this.nats = nats;
    this.connection = connection;
  }

  static async start(): Promise<Site> {
    const nats = await TestNats.start();
    const connection = await nats.connect(FABRIC);
    await connection.createStream(1);
    const site = new Site(nats, connection);
    const fabric = ["--nats", nats.url, "--fabric", FABRIC];
    const made = await heddle(["token", "create", "--name", "ci", "--scope", "admin", ...fabric]);
    site.#token = made.out.trim();
    const key = Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64");
    writeFileSync(join(site.dir, "key"), `${key}\n`, { mode: 0o600 });
    return site;
  }

  async serve(env: Readonly<Record<string, string>> = {}): Promise<Server> {
    const child = spawnHeddle(
      [
        ...["serve", "--nats", this.nats.url, "--fabric", FABRIC, "--http", "127.0.0.1:0"],
        ...["--webhook-key", join(this.dir, "key"), "--webhook-allow", "127.0.0.0/8,::1/128"],
        ...["--log-format", "json"],
      ],
      { env },
    );
    this.children.push(child);
    const { url } = JSON.parse(await firstLine(child.stderr, "listening")) as { url: string };
    await until("ready", 10_000, async () => (await fetch(`${url}/readyz`)).ok);
    return { url, child };
  }

  async ask<T>({ url }: Server, path: string, body?: object): Promise<T> {
    const answer = await fetch(`${url}${path}`, {
      method: body === undefined ? "GET" : "POST",
      headers: { authorization: `Bearer ${this.#token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
    return JSON.parse(text) as T;
  }

  /** Appends an event and returns its sequence. */
  async degraded(node: string): Promise<number> {
    const draft: Draft = { type: "HostDegraded", data: { node, problems: ["x"] } };
    const id = crypto.randomUUID();
    const subject = subjectOf(FABRIC, draft);
    const stored = await this.connection.log.append({ subject, payload: encode(draft, id), id });
    if (!stored.ok) throw new Error(stored.reason);
    return stored.seq;
  }

  /** Every event came, and each for the first time after those before it. */
  expectAllInOrder(seqs: readonly number[]): void {
    expect([...new Set(this.receiver.seqs())]).toEqual([...seqs]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.children) {
      child.kill("SIGKILL");
      await child.exited;
    }
    await this.nats.close();
    await this.receiver.close();
    rmSync(this.dir, { recursive: true });
  }
}

// Side by side: most wait until a record counts as lost, or for the next attempt.
test.concurrent.each(["SIGKILL", "SIGTERM"] as const)(
  "a server that ends by %s in the middle of a delivery loses none",
  async (signal) => {
    await using site = await Site.start();
    const { receiver } = site;
    const first = await site.serve();
    await site.ask(first, "/v1/hooks", { name: "ci", url: receiver.url });
    const seqs: number[] = [];
    const gate = Promise.withResolvers<void>();
    receiver.answer = async (_, count) => {
      if (count === 5) await gate.promise;
      return new Response();
    };
    for (let i = 0; i < EVENTS / 2; i++) seqs.push(await site.degraded(`h${i}`));
    await receiver.count(5);
    first.child.kill(signal);
    await first.child.exited;
    // Nobody serves while these come.
    for (let i = 0; i < EVENTS / 2; i++) seqs.push(await site.degraded(`h${i}`));
    gate.resolve();
    await site.serve();
    await receiver.until(() => receiver.seqs().includes(seqs.at(-1) ?? 0));
    site.expectAllInOrder(seqs);
    // The one that was under way came again; no other did.
    expect(receiver.seqs().length).toBe(EVENTS + 1);
  },
);

test.concurrent("of two servers either may be killed, again and again", async () => {
  await using site = await Site.start();
  const { receiver } = site;
  let servers = [await site.serve(), await site.serve()];
  const [any] = servers;
  if (any === undefined) throw new Error("no server");
  await site.ask(any, "/v1/hooks", { name: "ci", url: receiver.url });
  const seqs: number[] = [];
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < EVENTS / 3; i++) seqs.push(await site.degraded(`h${i}`));
    const [oldest, ...others] = servers;
    oldest?.child.kill("SIGKILL");
    await oldest?.child.exited;
    servers = [...others, await site.serve()];
  }
  await receiver.until(() => receiver.seqs().includes(seqs.at(-1) ?? 0));
  site.expectAllInOrder(seqs);
});

test.concurrent("a nats-server that is killed and comes back loses none", async () => {
  await using site = await Site.start();
  const { nats, connection, receiver } = site;
  const server = await site.serve();
  await site.ask(server, "/v1/hooks", { name: "ci", url: receiver.url });
  const seqs: number[] = [];
  for (let i = 0; i < 10; i++) seqs.push(await site.degraded(`h${i}`));
  await receiver.count(5);
  await nats.kill9();
  await nats.startAgain();
  await until("connected", 10_000, () => connection.connected());
  for (let i = 0; i < 10; i++) seqs.push(await site.degraded(`h${i}`));
  await receiver.until(() => receiver.seqs().includes(seqs.at(-1) ?? 0));
  expect(new Set(receiver.seqs())).toEqual(new Set(seqs));
});

test.concurrent("the guide's receiver starts a workflow for each event, once", async () => {
  await using site = await Site.start();
  const { connection, receiver, dir, children } = site;
  const guide = readFileSync(new URL("../../docs/webhooks.md", import.meta.url), "utf8");
  const [, program = ""] = /```js\n(import \{ createServer[\s\S]*?)```/.exec(guide) ?? [];
  writeFileSync(join(dir, "receiver.mjs"), program);
  symlinkSync(new URL("../../node_modules", import.meta.url).pathname, join(dir, "node_modules"));
  const server = await site.serve();
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
  const port = (await firstLine(child.stdout)).replace("port", "").trim();
  const hook = { name: "ci", url: `http://127.0.0.1:${port}/` };
  expect(await site.ask<object>(server, "/v1/hooks", hook)).toMatchObject({ secret });
  const seq = await site.degraded("h1");
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
});

test.concurrent("https needs a certificate of the right name, by a known issuer", async () => {
  await using site = await Site.start();
  const { dir } = site;
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
    const trusting = await site.serve({ NODE_EXTRA_CA_CERTS: cert });
    for (const [name, host] of Object.entries({ name: "localhost", number: "127.0.0.1" })) {
      await site.ask(trusting, "/v1/hooks", { name, url: `https://${host}:${tls.port}/` });
    }
    const good = await site.ask<object>(trusting, "/v1/hooks/name/test", {});
    expect(good).toEqual({ delivered: true, status: 200, reason: null });
    const misnamed = await site.ask<object>(trusting, "/v1/hooks/number/test", {});
    expect(misnamed).toMatchObject({ delivered: false, status: null });
    trusting.child.kill("SIGKILL");
    await trusting.child.exited;
    const before = taken;
    const wary = await site.serve();
    const unknown = await site.ask<object>(wary, "/v1/hooks/name/test", {});
    expect(unknown).toMatchObject({ delivered: false, status: null });
    expect(taken).toBe(before);
  } finally {
    await tls.stop(true);
  }
});
