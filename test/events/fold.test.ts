import { describe, expect, test } from "bun:test";
import { encode } from "../../src/events/codec.ts";
import { eventTypes } from "../../src/events/event.ts";
import { fold, QUARANTINE_MAX } from "../../src/events/fold.ts";
import { initialState } from "../../src/events/state.ts";
import { subjectOf } from "../../src/events/subject.ts";
import { golden } from "../support/golden-events.ts";
import { history } from "../support/history.ts";

const A = "10.5.1.0/24";
const bytes = (text: string) => new TextEncoder().encode(text);

function given() {
  const story = history("t").config({ Network: "10.5.0.0/16" });
  return story.join("h1").claim("h1", [A]).join("h2").claim("h2", ["10.5.2.0/24"]);
}

describe("one bad record affects nobody (W2)", () => {
  const left = encode({ type: "NodeLeft", data: { node: "h1", reason: "" } }, "x");
  test.each([
    ["bytes", "heddle.t.node.h1.lease", Uint8Array.of(0, 255, 1), "payload is not UTF-8"],
    ["half a payload", "heddle.t.node.h1.member", left.slice(0, 20), "payload is not JSON"],
    [
      "an event under another's name",
      "heddle.t.node.h2.member",
      left,
      "NodeLeft on heddle.t.node.h2.member speaks for heddle.t.node.h1.member",
    ],
    [
      "an event of another fabric",
      "heddle.u.node.h1.member",
      left,
      "NodeLeft on heddle.u.node.h1.member speaks for heddle.t.node.h1.member",
    ],
    [
      "an event of a later program",
      "heddle.t.node.h1.member",
      bytes('{"type":"NodeLeft","v":2,"id":"x","data":{}}'),
      "NodeLeft version 2 is newer than this program understands",
    ],
  ])("%s", (_, subject, payload, reason) => {
    const state = given().state() as ReturnType<typeof initialState>;
    const record = { seq: state.seq + 1, timeMs: state.timeMs, subject, payload };
    const folded = fold(state, record);
    expect(folded).toEqual({ verdict: { kind: "quarantined", reason }, event: null });
    expect(state.leases.size).toBe(2);
    expect(state.changedSeq).toBe(5);
    expect(state.quarantine).toEqual({
      count: 1,
      recent: [{ seq: 6, timeMs: state.timeMs, subject, type: null, reason }],
    });
  });

  test("the last of many are remembered, all are counted, and a reason fits on a terminal", () => {
    const state = initialState("t");
    for (let seq = 1; seq <= QUARANTINE_MAX + 6; seq++) {
      const config = { "\u001b[2J": "x".repeat(2000) };
      const payload = encode({ type: "FabricConfigured", data: { config } }, "x");
      fold(state, { seq, timeMs: 0, subject: "heddle.t.admin.config", payload });
    }
    const { count, recent } = state.quarantine;
    expect([count, recent.length, recent[0]?.seq]).toEqual([QUARANTINE_MAX + 6, QUARANTINE_MAX, 7]);
    for (const { reason } of recent) expect(reason).toMatch(/^[ -~\u{fffd}…]{1,401}$/u);
  });
});

test("every type of event is accepted in a state where it makes sense", () => {
  const state = initialState("lab");
  const order = [
    ...["FabricConfigured", "PeerAdded", "PeerRemoved", "LeaseReserved", "LeaseRevoked"],
    ...["TokenCreated", "TokenRevoked", "NodeJoined", "NodeUpdated", "LeaseClaimed"],
    ...["LeaseRenewed", "DriftHealed", "HostDegraded", "HostRecovered", "HostFrozen"],
    ...["NeighborMissed", "NeighborAged", "LeaseReleased", "NodeLeft"],
    ...["WebhookAdded", "WebhookRemoved"],
  ];
  const events = new Map<string, ReturnType<typeof golden>[number]>(
    golden().map((each) => [each.type, each]),
  );
  // The stored lease is a dual-stack one of epoch 3; here the fabric is new and IPv4.
  const subnets = [A];
  for (const type of order) {
    const known = events.get(type);
    if (known === undefined) throw new Error(type);
    const data =
      "epoch" in known.event.data ? { ...known.event.data, epoch: 1, subnets } : known.event.data;
    const event = { type, data } as typeof known.event;
    const subject = subjectOf("lab", event);
    const record = { seq: state.seq + 1, timeMs: 1000, subject, payload: encode(event, "x") };
    expect([type, fold(state, record).verdict]).toEqual([type, { kind: "accepted" }]);
  }
  // LeaseExpired, whose time has to come first, is in fold-lease.test.ts.
  expect([...order, "LeaseExpired"].sort()).toEqual([...eventTypes].sort());
});

test("renewals, reports, reservations and tokens are no change for any host", () => {
  const story = given();
  const { changedSeq } = story.state();
  story.append({
    type: "LeaseRenewed",
    data: { node: "h1", epoch: 1, subnets: [A], ttlSeconds: 9 },
  });
  story.append({ type: "HostRecovered", data: { node: "h1" } });
  story.append({ type: "LeaseReserved", data: { subnet: "10.5.3.0/24", node: null, note: "" } });
  expect(story.state().changedSeq).toBe(changedSeq);
});

test("whatever changes what a host should hold is marked as a change", () => {
  const story = given();
  const revoked = { type: "LeaseRevoked" as const, data: { subnet: A, note: "" } };
  const over = { node: "h1", owner: "h2", epoch: 1, subnets: ["10.5.2.0/24"] };
  const changes: readonly (() => unknown)[] = [
    () => story.peer("lb", "10.5.9.0/24", "198.18.9.9"),
    () => story.removePeer("lb"),
    () => story.append(revoked),
    () => story.join("h1"),
    () => story.claim("h1", [A]),
    () => story.update("h1", { publicIp: "198.18.5.5" }),
    () => story.release("h1"),
    () => story.wait(86_400_000).append({ type: "LeaseExpired", data: over }),
    () => story.leave("h1"),
    () => story.config({ Network: "10.5.0.0/16", Backend: { Type: "host-gw" } }),
  ];
  for (const change of changes) {
    change();
    expect(story.state().changedSeq).toBe(story.state().seq);
  }
});
