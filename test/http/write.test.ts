// Changes through the hook: what they answer, what stands in the log afterwards, and that a
// repeated request is harmless on every server.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { encode } from "../../src/events/codec.ts";
import { subjectOf } from "../../src/events/subject.ts";
import { defaultMember } from "../support/history.ts";
import { type Asked, FABRIC, TestHook } from "../support/hook.ts";

interface Logged {
  readonly seq: number;
  readonly type: string;
  readonly by: string | null;
  readonly data: object;
}

const peer = { name: "lb1", subnet: "10.9.0.0/24", publicIp: "198.18.0.9" };

let hook: TestHook;

beforeEach(async () => {
  hook = await TestHook.start();
  await post("/v1/config", { Network: "10.5.0.0/16" }, { as: "admin" });
});

afterEach(() => hook.close());

function post(path: string, body: unknown, asked: Asked = {}, url?: string): Promise<Response> {
  return hook.ask(path, { method: "POST", as: "write", ...asked, body }, url);
}

async function logged(): Promise<readonly Logged[]> {
  return (await hook.get<{ events: readonly Logged[] }>("/v1/events?from=5")).events;
}

test("a write answers with its sequence, and the event says on whose behalf it was", async () => {
  const answer = await post("/v1/peers", { ...peer, vtepMac: "02:00:00:00:00:09" });
  expect([answer.status, await answer.json()]).toEqual([200, { seq: 5, changed: true }]);
  const data = { ...peer, vtepMac: "02:00:00:00:00:09" };
  expect(await logged()).toMatchObject([{ seq: 5, type: "PeerAdded", by: "write", data }]);
});

test("what is so already is not written again", async () => {
  await post("/v1/peers", peer);
  expect(await (await post("/v1/peers", peer)).json()).toEqual({ seq: 5, changed: false });
  const again = await post("/v1/config", { Network: "10.5.0.0/16" }, { as: "admin" });
  expect(await again.json()).toEqual({ seq: 5, changed: false });
});

test("every change there is, and its end", async () => {
  const asks: readonly [string, string, unknown, string][] = [
    ["POST", "/v1/peers", peer, "PeerAdded"],
    ["DELETE", "/v1/peers/lb1", undefined, "PeerRemoved"],
    ["POST", "/v1/leases/reservations", { subnet: "10.5.9.0/24", node: "h9" }, "LeaseReserved"],
    ["DELETE", "/v1/leases/reservations?subnet=10.5.9.0/24", undefined, "LeaseRevoked"],
    ["POST", "/v1/leases/reservations", { subnet: "10.5.8.0/24" }, "LeaseReserved"],
    ["POST", "/v1/leases/revocations", { subnet: "10.5.8.0/24", note: "x" }, "LeaseRevoked"],
    ["POST", "/v1/config", { Network: "10.6.0.0/16" }, "FabricConfigured"],
  ];
  for (const [i, [method, path, body, type]] of asks.entries()) {
    const answer = await hook.ask(path, { method, body, as: "admin" });
    expect([path, await answer.json()]).toEqual([path, { seq: 5 + i, changed: true }]);
    expect((await logged())[i]).toMatchObject({ type, by: "admin" });
  }
});

test("each scope may do what those before it may, and no more", async () => {
  const config = { Network: "10.6.0.0/16" };
  for (const [path, body, as, status] of [
    ["/v1/peers", peer, "read", 403],
    ["/v1/config", config, "write", 403],
    ["/v1/leases/revocations", { subnet: "10.5.8.0/24" }, "write", 403],
    ["/v1/peers", peer, "admin", 200],
  ] as const) {
    const answer = await post(path, body, { as });
    expect([path, as, answer.status]).toEqual([path, as, status]);
    if (status === 403) {
      expect(answer.headers.get("www-authenticate")).toContain("insufficient_scope");
    }
  }
});

test("a reservation that somebody uses is not ended by who may only write", async () => {
  await hook.append({ type: "NodeJoined", data: defaultMember(FABRIC, "h1") });
  const data = { node: "h1", epoch: 1, subnets: ["10.5.3.0/24"], ttlSeconds: 3600 };
  await hook.append({ type: "LeaseClaimed", data });
  const path = "/v1/leases/reservations?subnet=10.5.3.0/24";
  const answer = await hook.ask(path, { method: "DELETE", as: "write" });
  expect([answer.status, await answer.json()]).toMatchObject([
    409,
    { detail: "10.5.3.0/24 is leased by h1" },
  ]);
});

test("what cannot be accepted is refused by name, and nothing is written", async () => {
  await post("/v1/peers", peer);
  const cases: readonly [string, string, unknown, number, string][] = [
    ["POST", "/v1/peers", { ...peer, name: "lb2" }, 409, "10.9.0.0/24 overlaps peer lb1"],
    ["DELETE", "/v1/peers/lb7", undefined, 404, "no peer named lb7"],
    [
      "POST",
      "/v1/peers",
      { ...peer, subnet: "10.9.0.1/24" },
      400,
      "body subnet: expected a prefix",
    ],
    ["POST", "/v1/peers", { ...peer, color: 1 }, 400, 'body: Unrecognized key: "color"'],
    ["POST", "/v1/peers", "{", 400, "Malformed JSON"],
    ["POST", "/v1/config", { Network: "10.5.0.0/16", Foo: 1 }, 400, "Foo"],
    ["POST", "/v1/leases/reservations", { subnet: "10.77.0.0/24" }, 409, "10.77.0.0/24 is not"],
    ["POST", "/v1/leases/revocations", { subnet: "10.5.1.0/24" }, 404, "neither leased nor"],
    ["POST", "/v1/peers", "x".repeat(70_000), 413, "larger than 65536 bytes"],
    ["PUT", "/v1/peers", peer, 405, "/v1/peers takes GET, POST, not PUT"],
  ];
  for (const [method, path, body, status, detail] of cases) {
    const answer = await hook.ask(path, { method, body, as: "admin" });
    const found = (await answer.json()) as { detail: string };
    expect([path, answer.status, found.detail]).toEqual([
      path,
      status,
      expect.stringContaining(detail),
    ]);
  }
  const form = { "content-type": "application/x-www-form-urlencoded" };
  expect((await post("/v1/peers", "a=b", { headers: form })).status).toBe(415);
  expect(await logged()).toHaveLength(1);
});

test("one key writes once, on whichever server, at whatever time", async () => {
  const other = await hook.another();
  const headers = { "idempotency-key": "build-17" };
  const [first, second] = await Promise.all([
    post("/v1/peers", peer, { headers }),
    post("/v1/peers", peer, { headers }, other.tcp.url),
  ]);
  expect(await first.json()).toEqual({ seq: 5, changed: true });
  expect(await second.json()).toEqual({ seq: 5, changed: true });
  // Undone since: without the key it would be done again.
  await hook.ask("/v1/peers/lb1", { method: "DELETE", as: "write" });
  const later = await hook.another();
  const third = await post("/v1/peers", peer, { headers }, later.tcp.url);
  expect(await third.json()).toEqual({ seq: 5, changed: true });
  expect(await hook.get<unknown>("/v1/peers")).toEqual([]);
});

test("one key with another body is refused, also when both come at once", async () => {
  const headers = { "idempotency-key": "build-18" };
  const other = { ...peer, publicIp: "198.18.0.10" };
  const answers = await Promise.all([
    post("/v1/peers", peer, { headers }),
    post("/v1/peers", other, { headers }),
  ]);
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 422]);
  const late = await post("/v1/peers", { ...peer, subnet: "10.10.0.0/24" }, { headers });
  expect([late.status, await late.json()]).toMatchObject([
    422,
    { detail: "this Idempotency-Key wrote something else, at sequence 5", seq: 5 },
  ]);
  // Another token's key is another key.
  expect((await post("/v1/peers", other, { headers, as: "admin" })).status).toBe(200);
});

test("a key that was overtaken in the log stays so", async () => {
  const headers = { "idempotency-key": "build-19" };
  const blocker = { ...peer, name: "first", vtepMac: null };
  const { append } = hook.deps.log;
  // Another writer comes between the decision and the append.
  const slow = await hook.another({
    log: {
      ...hook.deps.log,
      append: async (message) => {
        const draft = { type: "PeerAdded", data: blocker } as const;
        const subject = subjectOf(FABRIC, draft);
        await append({ subject, payload: encode(draft, "blocker"), id: "blocker" });
        return await append(message);
      },
    },
  });
  for (const url of [slow.tcp.url, hook.url]) {
    const answer = await post("/v1/peers", peer, { headers }, url);
    expect([answer.status, await answer.json()]).toMatchObject([
      409,
      { detail: "overtaken at sequence 6: 10.9.0.0/24 overlaps peer first", seq: 6 },
    ]);
  }
});

test("what a change would do is told for each host, and nothing is appended", async () => {
  for (const [i, node] of ["h1", "h2", "h3"].entries()) {
    await hook.append({ type: "NodeJoined", data: defaultMember(FABRIC, node) });
    if (node === "h3") continue;
    const data = { node, epoch: 1, subnets: [`10.5.${i + 1}.0/24`], ttlSeconds: 3600 };
    await hook.append({ type: "LeaseClaimed", data });
  }
  const events = [
    { type: "PeerAdded", data: { ...peer, vtepMac: "02:00:00:00:00:09" } },
    { type: "PeerRemoved", data: { name: "nobody" } },
  ];
  const ask = async (body: object): Promise<Response> => post("/v1/plan", body, { as: "read" });
  const all = (await (await ask({ events })).json()) as {
    hosts: { node: string; ops: { command: string }[] }[];
  };
  expect(all).toMatchObject({
    seq: 9,
    events: [
      { type: "PeerAdded", verdict: { kind: "accepted" } },
      { type: "PeerRemoved", verdict: { kind: "void", reason: "no peer named nobody" } },
    ],
  });
  expect(all.hosts.map(({ node }) => node)).toEqual(["h1", "h2"]);
  const commands = all.hosts[0]?.ops.map(({ command }) => command).join("\n");
  expect(commands).toContain("ip route replace 10.9.0.0/24");
  expect(commands).toContain("02:00:00:00:00:09");
  const one = (await (await ask({ events, nodes: ["h2"] })).json()) as typeof all;
  expect(one.hosts.map(({ node }) => node)).toEqual(["h2"]);
  const none = await ask({ events, nodes: ["h7"] });
  expect([none.status, await none.json()]).toMatchObject([404, { detail: expect.any(String) }]);
  expect((await hook.get<{ head: number }>("/v1/events")).head).toBe(9);
});

test("of a fabric where many hosts came and went the few that are there are told", async () => {
  const names = Array.from({ length: 260 }, (_, i) => `h${i + 1}`);
  await Promise.all(
    names.map(async (node) => {
      await hook.append({ type: "NodeJoined", data: defaultMember(FABRIC, node) });
      await hook.append({ type: "NodeLeft", data: { node, reason: "its build is done" } });
    }),
  );
  const events = [{ type: "PeerAdded", data: { ...peer, vtepMac: null } }];
  const answer = await post("/v1/plan", { events }, { as: "read" });
  expect([answer.status, await answer.json()]).toMatchObject([200, { hosts: [] }]);
});
