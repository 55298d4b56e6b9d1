import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { nextStep, type Self, type Step } from "../../src/agent/keeper.ts";
import { decide } from "../../src/events/decide.ts";
import type { FabricState } from "../../src/events/state.ts";
import { defaultMember, type History, history } from "../support/history.ts";
import { KeeperFabric } from "../support/keeper-fabric.ts";

const A = "10.5.1.0/24";
const base = () => history("t").config({ Network: "10.5.0.0/16" });
const self = (part: Partial<Self> = {}): Self => ({
  node: "h1",
  instance: "boot-of-h1",
  member: defaultMember("t", "h1"),
  joined: true,
  followedForMs: 3_600_000,
  former: [],
  ttlSeconds: 60,
  marginSeconds: 20,
  ...part,
});
const now = (state: Readonly<FabricState>, laterMs = 0) => state.timeMs + laterMs;
const stepOf = (story: History, me = self(), laterMs = 0): Step =>
  nextStep(story.state(), me, now(story.state(), laterMs));
const leased = () => base().join("h1").claim("h1", [A], 60);

describe("what a node says next", () => {
  test("nothing, as long as there is no configuration", () => {
    expect(stepOf(history("t"), self({ joined: false }))).toEqual({
      kind: "wait",
      problem: "the fabric has no configuration: run heddle init",
      atMs: null,
    });
  });

  test("nothing, as long as it does not know its underlay", () => {
    const step = stepOf(base(), self({ joined: false, member: { reason: "eth0 is down" } }));
    expect(step).toEqual({ kind: "wait", problem: "eth0 is down", atMs: null });
  });

  test("that it joins, first of all, even if an earlier process of it had joined", () => {
    const command = { type: "Join" as const, member: defaultMember("t", "h1") };
    expect(stepOf(base(), self({ joined: false }))).toEqual({ kind: "do", command });
    expect(stepOf(leased(), self({ joined: false }))).toEqual({ kind: "do", command });
  });

  test("nothing ever, when its first join would take another's address", () => {
    const member = defaultMember("t", "h2");
    const me = self({ node: "h2", joined: false, member: { ...member, publicIp: "198.18.0.1" } });
    const reason = "198.18.0.1 belongs to h1";
    expect(stepOf(base().join("h1"), me)).toEqual({ kind: "end", reason });
  });

  test("a claim, once it has joined; of what it held under a lost log, if that is free", () => {
    const command = { type: "Claim" as const, node: "h1", ttlSeconds: 60, former: ["10.5.7.0/24"] };
    const me = self({ former: ["10.5.7.0/24"] });
    expect(stepOf(base().join("h1"), me)).toEqual({ kind: "do", command });
    expect(decide(base().join("h1").state(), command)).toMatchObject({
      events: [{ data: { subnets: ["10.5.7.0/24"] } }],
    });
  });

  test("nothing, when the pool is exhausted; the problem is told", () => {
    const document = { Network: "10.5.0.0/28", SubnetMin: "10.5.0.4", SubnetMax: "10.5.0.4" };
    const story = history("t").config(document).join("h2").claim("h2", ["10.5.0.4/30"]).join("h1");
    const problem = "pool exhausted: all 1 subnets of 10.5.0.0/28 are taken";
    expect(stepOf(story)).toEqual({ kind: "wait", problem, atMs: null });
  });

  test("nothing, while all is well; it looks again when its renewal is due", () => {
    const story = leased();
    const atMs = now(story.state(), 40_000);
    expect(stepOf(story)).toEqual({ kind: "wait", problem: null, atMs });
    expect(stepOf(story, self(), 39_999)).toMatchObject({ kind: "wait" });
  });

  test("a renewal, a margin before the end of its lease", () => {
    const command = { type: "Renew" as const, node: "h1", ttlSeconds: 60 };
    expect(stepOf(leased(), self(), 40_000)).toEqual({ kind: "do", command });
  });

  test("a renewal, when its lease has another duration than it is to have", () => {
    const command = { type: "Renew" as const, node: "h1", ttlSeconds: 3600 };
    expect(stepOf(leased(), self({ ttlSeconds: 3600 }))).toEqual({ kind: "do", command });
  });

  test("an update, when what it announced is no longer so", () => {
    const member = { ...defaultMember("t", "h1"), publicIp: "198.18.9.9" };
    const step = stepOf(leased(), self({ member }));
    expect(step).toEqual({ kind: "do", command: { type: "Update", member } });
  });

  test("a join, after it was expired or revoked", () => {
    const story = leased();
    story.append({ type: "LeaseRevoked", data: { subnet: A, note: "" } });
    expect(stepOf(story)).toMatchObject({ kind: "do", command: { type: "Join" } });
  });

  test("nothing ever, once another instance has taken its name over", () => {
    const story = leased().wait(10_000).join("h1", { instance: "newer" });
    expect(stepOf(story)).toEqual({
      kind: "end",
      reason: "the name h1 was taken over by newer",
    });
  });
});

describe("a host that cannot say how to reach it keeps its lease", () => {
  test("while its underlay is not usable", () => {
    const me = self({ member: { reason: "eth0 is down" } });
    const story = leased();
    const atMs = now(story.state(), 40_000);
    expect(stepOf(story, me)).toEqual({ kind: "wait", problem: "eth0 is down", atMs });
    expect(stepOf(story, me, 40_000)).toMatchObject({ kind: "do", command: { type: "Renew" } });
  });

  test("while its new address is another's", () => {
    const me = self({ member: { ...defaultMember("t", "h1"), publicIp: "198.18.0.2" } });
    const story = leased().join("h2");
    const problem = "198.18.0.2 belongs to h2";
    expect(stepOf(story, me)).toMatchObject({ kind: "wait", problem });
    expect(stepOf(story, me, 40_000)).toMatchObject({ kind: "do", command: { type: "Renew" } });
  });
});

describe("the lease of a silent host", () => {
  /** h1 renews for an hour, h2 said nothing for a minute. */
  const story = () =>
    base().join("h2").claim("h2", ["10.5.2.0/24"], 60).join("h1").claim("h1", [A], 3600);
  const me = self({ ttlSeconds: 3600, marginSeconds: 600 });

  test("is looked at when it ends", () => {
    const { leases } = story().state();
    const atMs = leases.get("h2")?.expiresMs ?? 0;
    expect(stepOf(story(), me)).toEqual({ kind: "wait", problem: null, atMs });
  });

  test("is declared over at most half a second after its end", () => {
    const command = { type: "Expire" as const, node: "h1", owner: "h2" };
    expect(stepOf(story(), me, 61_000)).toEqual({ kind: "do", command });
  });

  test("is left alone while the log is only just back: its holder could not renew either", () => {
    const long = base()
      .join("h2")
      .claim("h2", ["10.5.2.0/24"], 600)
      .join("h1")
      .claim("h1", [A], 9000);
    const step = stepOf(long, self({ ttlSeconds: 9000, followedForMs: 1000 }), 700_000);
    const nowMs = now(long.state(), 700_000);
    if (step.kind !== "wait") throw new Error(step.kind);
    expect(step.atMs ?? 0).toBeGreaterThanOrEqual(nowMs + 14_000);
    expect(step.atMs ?? 0).toBeLessThan(nowMs + 14_500);
    const later = self({ ttlSeconds: 9000, followedForMs: 15_500 });
    expect(stepOf(long, later, 714_500)).toMatchObject({ kind: "do", command: { type: "Expire" } });
  });

  test("is declared over by the quickest of many, as each has its own moment", () => {
    const state = story().state();
    const endMs = state.leases.get("h2")?.expiresMs ?? 0;
    const moments = new Set<number>();
    for (let i = 0; i < 20; i++) {
      const node = `h1`;
      const owner = `silent-${i}`;
      const lease = { ...state.leases.get("h2"), node: owner } as never;
      const leases = new Map([...state.leases, [owner, lease]]);
      leases.delete("h2");
      const step = nextStep({ ...state, leases }, { ...me, node }, endMs);
      if (step.kind === "wait") moments.add((step.atMs ?? 0) - endMs);
    }
    expect(moments.size).toBeGreaterThan(10);
    for (const moment of moments) expect(moment).toBeLessThan(500);
  });
});

const turns = fc.array(
  fc.record({
    node: fc.nat(5),
    act: fc.constantFrom("speak", "read", "crash", "restart") as fc.Arbitrary<
      "speak" | "read" | "crash" | "restart"
    >,
    afterMs: fc.nat(3000),
  }),
  { maxLength: 120 },
);

describe("many keepers on one log, in any order", () => {
  test("each ends with a lease or with an exhausted pool, and falls silent", () => {
    fc.assert(
      fc.property(turns, fc.integer({ min: 1, max: 8 }), (all, subnets) => {
        const fabric = new KeeperFabric(6, subnets);
        for (const { node, act, afterMs } of all) fabric.turn(node, act, afterMs);
        fabric.settle();
        const alive = fabric.living();
        const holders = alive.filter((node) => fabric.state().leases.has(node));
        expect(holders.length).toBe(Math.min(alive.length, subnets));
        for (const node of alive) {
          const step = fabric.next(node);
          const problem = step.kind === "wait" ? step.problem : step.kind;
          if (holders.includes(node)) expect(problem).toBeNull();
          else expect(problem).toStartWith("pool exhausted");
        }
      }),
      { numRuns: 100 },
    );
  });

  test("no lease of a living host ends, and that of a dead one is declared over once", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(5), { maxLength: 4 }), (dead) => {
        const fabric = new KeeperFabric(6, 8);
        fabric.settle();
        for (const node of dead) fabric.turn(node, "crash", 0);
        // An hour of leases that last a minute.
        for (let second = 0; second < 3600; second += 5) fabric.everybody(5000);
        expect(fabric.expired().sort()).toEqual([...new Set(dead)].map((i) => `h${i + 1}`).sort());
        expect(fabric.verdicts("LeaseExpired").every((kind) => kind === "accepted")).toBe(true);
        expect(fabric.state().leases.size).toBe(6 - new Set(dead).size);
      }),
      { numRuns: 10 },
    );
  });
});

test("every step that is to be done can be decided", () => {
  const story = leased();
  for (const laterMs of [0, 40_000, 90_000]) {
    const step = stepOf(story, self(), laterMs);
    if (step.kind === "do") expect(decide(story.state(), step.command).ok).toBe(true);
  }
});
