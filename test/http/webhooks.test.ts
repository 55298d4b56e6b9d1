// Webhooks through the whole hook: a real nats-server, a real receiver on a loopback port.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { Webhook as Verifier } from "standardwebhooks";
import { type Asked, TestHook } from "../support/hook.ts";
import { Scraped } from "../support/prometheus.ts";
import { type Received, Receiver } from "../support/receiver.ts";

const OLD = new Uint8Array(32).fill(1);
const NEW = new Uint8Array(32).fill(2);

let hook: TestHook;
let receiver: Receiver;

beforeEach(async () => {
  receiver = new Receiver();
  hook = await TestHook.start({
    webhooks: { keys: [NEW, OLD], allow: ["127.0.0.0/8"], pausesMs: [20, 20, 20] },
  });
});

afterEach(async () => {
  await hook.close();
  await receiver.close();
});

async function post<T>(path: string, body: unknown, asked: Asked = {}): Promise<T> {
  const answer = await hook.ask(path, { method: "POST", as: "admin", ...asked, body });
  const text = await answer.text();
  if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${text}`);
  return JSON.parse(text) as T;
}

interface Added {
  readonly seq: number;
  readonly changed: boolean;
  readonly secret: string;
}

function add(part: object = {}): Promise<Added> {
  return post<Added>("/v1/hooks", { name: "ci", url: receiver.url, ...part });
}

/** Of an accepted event that is about a node. */
function degraded(node: string): Promise<number> {
  return hook.append({ type: "HostDegraded", data: { node, problems: ["x"] } });
}

async function shown(): Promise<{
  readonly cursor: { readonly seq: number; readonly behind: number } | null;
  readonly failing: { readonly seq: number; readonly attempt: number } | null;
  readonly dead: number;
}> {
  return await hook.get("/v1/hooks/ci");
}

/** Awaits what the servers say, which nobody tells of. */
async function shownWhen(isSo: (view: Awaited<ReturnType<typeof shown>>) => boolean) {
  for (;;) {
    const view = await shown();
    if (isSo(view)) return view;
  }
}

function verified({ headers, body }: Received, secret: string): unknown {
  return new Verifier(secret).verify(body, { ...headers });
}

test("events after it was added come signed, in order, as CloudEvents", async () => {
  await degraded("h0");
  const { seq, secret } = await add();
  const seqs = [await degraded("h1"), await degraded("h2"), await degraded("h3")];
  const received = await receiver.count(3);
  expect(receiver.seqs()).toEqual(seqs);
  expect(seqs[0]).toBe(seq + 1);
  const [first] = received;
  if (first === undefined) throw new Error("nothing came");
  expect(first.headers["content-type"]).toStartWith("application/cloudevents+json");
  expect(first.headers["webhook-id"]).toBe(`heddle_hook_${seqs[0]}`);
  expect(verified(first, secret)).toEqual({
    specversion: "1.0",
    id: String(seqs[0]),
    source: "/heddle/hook",
    type: "heddle.HostDegraded",
    subject: "h1",
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as unknown,
    datacontenttype: "application/json",
    sequence: String(seqs[0]).padStart(16, "0"),
    dataversion: 1,
    data: { node: "h1", problems: ["x"] },
  });
  expect(await shownWhen(({ cursor }) => cursor?.behind === 0)).toMatchObject({
    cursor: { seq: seqs[2], behind: 0 },
    failing: null,
    dead: 0,
  });
});

test("nothing from before it was added comes, though its cursor begins there", async () => {
  const addedSeq = (await degraded("h0")) + 1;
  await hook.connection.webhooks.open(`ci-${addedSeq}`, 1);
  expect((await add()).seq).toBe(addedSeq);
  const after = await degraded("h1");
  await receiver.count(1);
  expect(receiver.seqs()).toEqual([after]);
});

test("the secret of each key of the list verifies, and a wrong one does not", async () => {
  const { secret } = await add();
  const second = await hook.another({
    webhooks: { queue: hook.connection.webhooks, keys: [OLD], allow: [] },
  });
  const { secret: oldSecret } = await hook.get<{ secret: string }>(
    "/v1/hooks/ci/secret",
    { as: "admin" },
    second.tcp.url,
  );
  expect(oldSecret).not.toBe(secret);
  await degraded("h1");
  const [first] = await receiver.count(1);
  if (first === undefined) throw new Error("nothing came");
  for (const each of [secret, oldSecret]) expect(verified(first, each)).toBeDefined();
  const wrong = `whsec_${Buffer.alloc(32, 3).toString("base64")}`;
  expect(() => verified(first, wrong)).toThrow();
  expect(() => verified({ ...first, body: `${first.body} ` }, secret)).toThrow();
});

test("events that did not count do not come", async () => {
  await add();
  // Void, as there is no such token; the second is in time.
  await hook.append({ type: "TokenRevoked", data: { name: "none" } });
  const seq = await hook.append({ type: "TokenRevoked", data: { name: "write" } });
  await receiver.count(1);
  expect(receiver.seqs()).toEqual([seq]);
});

test("only wanted types and nodes come", async () => {
  await add({ types: ["HostDegraded"], nodes: ["h2"] });
  await degraded("h1");
  await hook.append({ type: "HostRecovered", data: { node: "h2" } });
  const seq = await degraded("h2");
  await receiver.count(1);
  expect(receiver.seqs()).toEqual([seq]);
  await shownWhen(({ cursor }) => cursor?.behind === 0);
  expect(receiver.seqs()).toEqual([seq]);
});

test("an event that fails is tried again before any later one", async () => {
  receiver.answer = (_, count) => new Response(null, { status: count <= 2 ? 500 : 204 });
  await add();
  const [first, second] = [await degraded("h1"), await degraded("h2")];
  await receiver.count(4);
  expect(receiver.seqs()).toEqual([first, first, first, second]);
  const ids = receiver.received.slice(0, 3).map(({ headers }) => headers["webhook-id"]);
  expect(new Set(ids).size).toBe(1);
  expect(await shownWhen(({ failing }) => failing === null)).toMatchObject({ dead: 0 });
});

test("a slow receiver delays later events and loses none", async () => {
  const gate = Promise.withResolvers<void>();
  receiver.answer = async () => {
    await gate.promise;
    return new Response();
  };
  await add();
  const seqs = [await degraded("h1"), await degraded("h2")];
  await receiver.count(1);
  expect((await shown()).cursor).toEqual({ seq: (seqs[0] ?? 0) - 1, behind: 2 });
  gate.resolve();
  await receiver.count(2);
  expect(receiver.seqs()).toEqual(seqs);
});

test("a redirect is a failure and is not followed", async () => {
  const elsewhere = new Receiver();
  try {
    receiver.answer = (_, count) =>
      count === 1
        ? new Response(null, { status: 307, headers: { location: elsewhere.url } })
        : new Response();
    await add();
    await degraded("h1");
    await receiver.count(2);
    expect(elsewhere.received).toEqual([]);
    expect(hook.logged.join("\n")).toContain("answered 307: redirects are not followed");
  } finally {
    await elsewhere.close();
  }
});

test("what fails to the end is a dead letter to replay; the next event comes", async () => {
  let isDown = true;
  receiver.answer = ({ event }) =>
    new Response(null, { status: isDown && event.subject === "h1" ? 503 : 200 });
  await add();
  const [dead, next] = [await degraded("h1"), await degraded("h2")];
  await receiver.count(5);
  expect(receiver.seqs()).toEqual([dead, dead, dead, dead, next]);
  await shownWhen(({ cursor }) => cursor?.behind === 0);
  const figures = new Scraped(await (await hook.ask("/metrics")).text());
  const counted = (outcome: string) =>
    figures.value("heddle_webhook_deliveries_total", { outcome });
  expect(["delivered", "failed", "dead"].map(counted)).toEqual([1, 3, 1]);
  const { letters } = await hook.get<{ letters: object[] }>("/v1/hooks/ci/dead");
  expect(letters).toMatchObject([{ seq: dead, attempts: 4, status: 503, reason: "answered 503" }]);
  const path = `/v1/hooks/ci/dead/${dead}/replay`;
  const failed = { delivered: false, status: 503, reason: "answered 503" };
  expect(await post<object>(path, undefined)).toEqual(failed);
  expect((await shown()).dead).toBe(1);
  isDown = false;
  expect(await post<object>(path, undefined)).toEqual({
    ...{ delivered: true, status: 200, reason: null },
  });
  expect(receiver.seqs().slice(5)).toEqual([dead, dead]);
  expect((await shown()).dead).toBe(0);
  const again = await hook.ask(path, { method: "POST", as: "admin" });
  expect(again.status).toBe(404);
  expect(await again.json()).toMatchObject({ detail: `${dead} is no dead letter of ci` });
});

test("a webhook that stands still says since when and why", async () => {
  receiver.answer = () => new Response(null, { status: 410 });
  await add();
  const seq = await degraded("h1");
  const { failing } = await shownWhen((view) => (view.failing?.attempt ?? 0) > 1);
  expect(failing).toMatchObject({
    ...{ seq, status: 410, reason: "answered 410: the receiver wants no more of these" },
  });
});

test("removing one stops it and forgets its dead letters", async () => {
  receiver.answer = () => new Response(null, { status: 500 });
  await add();
  await degraded("h1");
  await shownWhen(({ dead }) => dead === 1);
  const removed = await hook.ask("/v1/hooks/ci", { method: "DELETE", as: "admin" });
  expect(removed.status).toBe(200);
  while ((await hook.connection.webhooks.ids()).length > 0);
  receiver.answer = () => new Response();
  const before = receiver.received.length;
  // The one that is added now hears of this, and the one before does not.
  await add({ name: "other" });
  const seq = await degraded("h2");
  await receiver.count(before + 1);
  expect(receiver.seqs().slice(before)).toEqual([seq]);
  expect((await hook.ask("/v1/hooks/ci")).status).toBe(404);
  await add();
  expect((await shown()).dead).toBe(0);
});

test("two servers deliver each event once, in order", async () => {
  await hook.another();
  await add();
  const seqs: number[] = [];
  for (let i = 0; i < 40; i++) seqs.push(await degraded(`h${i}`));
  await receiver.count(40);
  expect(receiver.seqs()).toEqual(seqs);
});

test("a test says at once whether the receiver takes it", async () => {
  await add();
  expect(await post<object>("/v1/hooks/ci/test", undefined)).toMatchObject({ delivered: true });
  expect(receiver.received[0]?.event).toMatchObject({ type: "heddle.test", data: { hook: "ci" } });
  receiver.answer = () => new Response(null, { status: 418 });
  expect(await post<object>("/v1/hooks/ci/test", undefined)).toEqual({
    ...{ delivered: false, status: 418, reason: "answered 418" },
  });
});

test("adding the same again gives the same secret, and something else is a conflict", async () => {
  const first = await add();
  expect(await add()).toMatchObject({ changed: false, secret: first.secret });
  const body = { name: "ci", url: receiver.url, types: ["NodeLeft"] };
  const other = await hook.ask("/v1/hooks", { method: "POST", as: "admin", body });
  expect(other.status).toBe(409);
  expect(await other.json()).toMatchObject({ detail: expect.stringContaining("remove it first") });
  expect(await hook.get<object[]>("/v1/hooks")).toMatchObject([{ name: "ci", url: receiver.url }]);
});

test("what cannot be is refused with the reason, and nothing is written", async () => {
  const { lastSeq } = await hook.connection.log.info();
  for (const [part, detail] of [
    [{ url: "ftp://ci.example/" }, "body url: expected an http or https URL"],
    [{ url: "https://me:pw@ci.example/" }, "without credentials"],
    [{ url: "https://ci.example/#" }, "without credentials and fragment"],
    [{ url: "https://10.1.2.3/" }, "body url: 10.1.2.3 is private"],
    [{ url: "https://[::ffff:10.1.2.3]/" }, "10.1.2.3 is private"],
    [{ url: "https://0xa9fea9fe/" }, "169.254.169.254 is link-local"],
    [{ url: "http://192.0.32.7/" }, "expected https"],
    [{ url: receiver.url, types: ["Nothing"] }, "body types.0"],
    [{ url: receiver.url, nodes: ["-"] }, "body nodes.0: expected a node name"],
    [{ url: receiver.url, name: "a b" }, "body name"],
  ] as const) {
    const body = { name: "ci", ...part };
    const answer = await hook.ask("/v1/hooks", { method: "POST", as: "admin", body });
    const problem = (await answer.json()) as { detail: string };
    expect([answer.status, problem.detail]).toEqual([400, expect.stringContaining(detail)]);
  }
  const body = { name: "ci", url: receiver.url };
  expect((await hook.ask("/v1/hooks", { method: "POST", as: "write", body })).status).toBe(403);
  expect((await hook.ask("/v1/hooks/ci/secret", { as: "read" })).status).toBe(403);
  expect((await hook.connection.log.info()).lastSeq).toBe(lastSeq);
});

test("a server without a key adds none, and says what it lacks", async () => {
  const keyless = await hook.another({
    webhooks: { queue: hook.connection.webhooks, keys: [], allow: [] },
  });
  const body = { name: "ci", url: "https://ci.example/" };
  const asked = { method: "POST", as: "admin", body } as const;
  const answer = await hook.ask("/v1/hooks", asked, keyless.tcp.url);
  expect(answer.status).toBe(409);
  expect(await answer.json()).toMatchObject({ detail: expect.stringContaining("--webhook-key") });
});

test("neither secrets nor keys are in the log or in what the servers log", async () => {
  const { secret } = await add();
  receiver.answer = (_, count) => new Response(null, { status: count === 1 ? 500 : 200 });
  await degraded("h1");
  await receiver.count(2);
  const page = await (await hook.ask("/v1/events")).text();
  const all = page + hook.logged.join("\n") + JSON.stringify(await shown());
  expect(all).not.toContain(secret.slice("whsec_".length));
  expect(all).not.toContain("whsec_");
});
