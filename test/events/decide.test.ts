import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Command, decide } from "../../src/events/decide.ts";
import { fold } from "../../src/events/fold.ts";
import { NAME_GUARD_MS } from "../../src/events/fold-member.ts";
import type { FabricState } from "../../src/events/state.ts";
import { command, messageOf, steps, tell } from "../support/arbitraries.ts";
import { defaultMember, type History, history } from "../support/history.ts";

const A = "10.5.1.0/24";
const given = () => history("t").config({ Network: "10.5.0.0/16" }).join("h1").join("h2");
const when = (story: History, asked: Command) => decide(story.state(), asked);
const member = (node: string, part = {}) => ({ ...defaultMember("t", node), ...part });

/** When it may be asked for: nobody proposes an expiry, or takes a name, before its time. */
function dueMs(state: Readonly<FabricState>, asked: Command): number {
  if (asked.type === "Expire") return state.leases.get(asked.owner)?.expiresMs ?? state.timeMs;
  return asked.type === "Join" ? state.timeMs + NAME_GUARD_MS : state.timeMs;
}

test("what is decided on a state is accepted when it is folded on that state", () => {
  fc.assert(
    fc.property(steps, command, (all, asked) => {
      const { state } = tell(all);
      const timeMs = Math.max(state.timeMs, dueMs(state, asked));
      const decision = decide(state, asked);
      if (!decision.ok) {
        expect(decision.reason).not.toBe("");
        return;
      }
      for (const event of decision.events) {
        const seq = state.seq + 1;
        const { verdict } = fold(state, { seq, timeMs, ...messageOf(event, `id-${seq}`) });
        expect([event.type, verdict]).toEqual([event.type, { kind: "accepted" }]);
      }
    }),
    { numRuns: 500 },
  );
});

describe("a decision", () => {
  test("to configure holds the completed document", () => {
    const decision = when(history("t"), {
      type: "Configure",
      document: { Network: "10.5.0.0/16" },
    });
    expect(decision).toMatchObject({
      ok: true,
      events: [{ type: "FabricConfigured", data: { config: { SubnetMin: "10.5.1.0" } } }],
    });
  });

  test("to claim names the next epoch and a free subnet", () => {
    const story = given().claim("h1", [A]).release("h1");
    expect(when(story, { type: "Claim", node: "h1", ttlSeconds: 60 })).toEqual({
      ok: true,
      events: [
        {
          type: "LeaseClaimed",
          data: { node: "h1", epoch: 2, subnets: [A], ttlSeconds: 60 },
        },
      ],
    });
  });

  test("to leave releases the lease first", () => {
    const types = (story: History) => {
      const decision = when(story, { type: "Leave", node: "h1", reason: "asked to" });
      return decision.ok ? decision.events.map(({ type }) => type) : [];
    };
    expect(types(given())).toEqual(["NodeLeft"]);
    expect(types(given().claim("h1", [A]))).toEqual(["LeaseReleased", "NodeLeft"]);
  });

  test("about a lease speaks of the lease that is there", () => {
    const story = given().claim("h1", [A]);
    const lease = { epoch: 1, subnets: [A] };
    const of = (asked: Command) => {
      const decision = when(story, asked);
      return decision.ok ? decision.events : decision.reason;
    };
    expect(of({ type: "Renew", node: "h1", ttlSeconds: 9 })).toEqual([
      { type: "LeaseRenewed", data: { node: "h1", ...lease, ttlSeconds: 9 } },
    ]);
    expect(of({ type: "Release", node: "h1" })).toEqual([
      { type: "LeaseReleased", data: { node: "h1", ...lease } },
    ]);
    expect(of({ type: "Expire", node: "h2", owner: "h1" })).toEqual([
      { type: "LeaseExpired", data: { node: "h2", owner: "h1", ...lease } },
    ]);
  });
});

describe("a refusal says why in one line", () => {
  const peer = { name: "lb", publicIp: "198.18.9.9", vtepMac: null };
  const cases: readonly (readonly [string, Command])[] = [
    ["Network: missing", { type: "Configure", document: {} }],
    [
      "198.18.0.1 belongs to h1",
      { type: "Join", member: member("h3", { publicIp: "198.18.0.1" }) },
    ],
    [
      "198.18.0.2 belongs to h2",
      { type: "Update", member: member("h1", { publicIp: "198.18.0.2" }) },
    ],
    ["h3 has not joined", { type: "Update", member: member("h3") }],
    [
      "h1 is now instance boot-of-h1",
      { type: "Update", member: member("h1", { instance: "old" }) },
    ],
    ["h3 is not in the fabric", { type: "Leave", node: "h3", reason: "" }],
    ["h3 has not joined", { type: "Claim", node: "h3", ttlSeconds: 60 }],
    [`h1 holds ${A}`, { type: "Claim", node: "h1", ttlSeconds: 60 }],
    ["h2 holds no lease", { type: "Renew", node: "h2", ttlSeconds: 60 }],
    ["h2 holds no lease", { type: "Release", node: "h2" }],
    ["h2 holds no lease", { type: "Expire", node: "h1", owner: "h2" }],
    [
      "10.6.1.0/24 is not a subnet of the pool",
      { type: "Reserve", subnet: "10.6.1.0/24", node: null, note: "" },
    ],
    [`${A} belongs to h1`, { type: "Reserve", subnet: A, node: "h2", note: "" }],
    [`${A} belongs to h1`, { type: "Reserve", subnet: A, node: null, note: "" }],
    [
      "10.5.7.0/24 is neither leased nor reserved",
      { type: "Revoke", subnet: "10.5.7.0/24", note: "" },
    ],
    [`10.5.0.0/20 overlaps ${A} of h1`, { type: "AddPeer", ...peer, subnet: "10.5.0.0/20" }],
    [
      "198.18.0.1 belongs to h1",
      { type: "AddPeer", ...peer, subnet: "10.5.8.0/24", publicIp: "198.18.0.1" },
    ],
    ["no peer named lb", { type: "RemovePeer", name: "lb" }],
  ];
  test.each(cases)("%s", (reason, asked) => {
    expect(when(given().claim("h1", [A]), asked)).toEqual({ ok: false, reason });
  });

  test("pool exhausted", () => {
    const document = { Network: "10.5.0.0/28", SubnetMin: "10.5.0.4", SubnetMax: "10.5.0.4" };
    const story = history("t").config(document).join("h1").claim("h1", ["10.5.0.4/30"]).join("h2");
    expect(when(story, { type: "Claim", node: "h2", ttlSeconds: 60 })).toEqual({
      ok: false,
      reason: "pool exhausted: all 1 subnets of 10.5.0.0/28 are taken",
    });
  });
});
