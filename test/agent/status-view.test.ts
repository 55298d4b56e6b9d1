import { describe, expect, test } from "bun:test";
import { isReady, type Parts, phaseOf, statusOf } from "../../src/agent/status-view.ts";
import { desired } from "../../src/reconcilers/desired.ts";
import { history } from "../support/history.ts";

const story = history("t")
  .config({ Network: "10.5.0.0/16" })
  .join("h1")
  .claim("h1", ["10.5.1.0/24"], 60)
  .join("h2")
  .claim("h2", ["10.5.2.0/24"])
  .join("h3", { vtepMac: null })
  .claim("h3", ["10.5.3.0/24"]);
const state = story.state();
const plan = desired(state, "h1");
const { seq } = state;

const round: NonNullable<Parts["round"]> = {
  seq,
  ops: 0,
  drift: [],
  driftCount: 0,
  failures: new Map(),
  clean: true,
  pending: [],
  pendingCount: 0,
  retryAtMs: null,
  error: null,
  tookMs: 1,
};

const parts = (part: Partial<Parts> = {}): Parts => ({
  node: "h1",
  instance: "boot",
  version: "1",
  tail: {
    seq,
    head: seq,
    caughtUp: true,
    connected: true,
    followedSinceMs: 0,
    damage: null,
    trouble: null,
    server: "2.9.10",
  },
  state,
  plan,
  round,
  appliedSeq: seq,
  fileInPlace: true,
  problems: [],
  stopping: false,
  wasReady: false,
  healed: 0,
  ...part,
});
const tail = (part: object) => ({ tail: { ...parts().tail, ...part } });

describe("an agent is ready", () => {
  test("when the fold has passed the head and the kernel was found as wanted", () => {
    expect(isReady(parts())).toBe(true);
    expect(phaseOf(parts())).toBe("ready");
  });

  test("not before subnet.env holds what the plan says", () => {
    expect(phaseOf(parts({ fileInPlace: false }))).toBe("starting");
  });

  test.each([
    ["the fold has not caught up", tail({ caughtUp: false })],
    ["the log is damaged", tail({ damage: "the stream is gone" })],
    ["there is no plan", { plan: null }],
    ["the kernel was not looked at", { round: null }],
    ["the last look was at another plan", { round: { ...round, seq: seq - 1 } }],
    ["the last look found a difference", { round: { ...round, clean: false } }],
    ["it holds no lease", { node: "h9" }],
  ])("not while %s", (_, part) => {
    expect(isReady(parts(part))).toBe(false);
  });
});

describe("the state", () => {
  test.each([
    ["starting", { round: null }],
    ["degraded", { round: null, wasReady: true }],
    ["degraded", { problems: ["eth0 is down"] }],
    ["degraded", { round: null, problems: ["eth0 is down"] }],
    ["frozen", { ...tail({ damage: "the stream is gone" }), wasReady: true, problems: ["x"] }],
    ["stopping", { ...tail({ damage: "the stream is gone" }), stopping: true }],
    ["ready", tail({ connected: false })],
  ])("is %s", (phase, part) => {
    expect(phaseOf(parts(part))).toBe(phase as ReturnType<typeof phaseOf>);
  });
});

test("the status is the one that scripts read", () => {
  const status = statusOf(parts({ healed: 7, problems: ["p"] }));
  expect(status).toMatchObject({
    node: "h1",
    fabric: "t",
    instance: "boot",
    state: "degraded",
    problems: ["p"],
    seq: { applied: seq, head: seq },
    lease: {
      subnets: ["10.5.1.0/24"],
      epoch: 1,
      renewedAt: "2030-01-01T00:00:00.003Z",
      expiresAt: "2030-01-01T00:01:00.003Z",
    },
    backend: { type: "vxlan", device: "heddle.1", mtu: 1450 },
    drift: { healed: 7, pending: 0 },
    log: { server: "2.9.10", connected: true, frozen: null },
    quarantined: 0,
    version: "1",
  });
});

test("without a lease and a plan the status says so", () => {
  const status = statusOf(parts({ node: "h9", plan: null, round: null }));
  expect(status).toMatchObject({ lease: null, backend: null, peers: [] });
});

describe("a peer is", () => {
  const peer = (node: string, part: Partial<Parts> = {}) =>
    statusOf(parts(part)).peers.find((each) => each.node === node);

  test("applied when the last round worked on this plan", () => {
    expect(peer("h2")).toEqual({
      node: "h2",
      subnets: ["10.5.2.0/24"],
      publicIp: "198.18.0.2",
      path: "vxlan",
      state: "applied",
      error: null,
    });
  });

  test("pending until then", () => {
    expect(peer("h2", { round: null })?.state).toBe("pending");
    expect(peer("h2", { round: { ...round, seq: seq - 1 } })?.state).toBe("pending");
  });

  test("failed with the reason of the kernel or of the plan, beside peers that are well", () => {
    const failures = new Map([["h2", "route 10.5.2.0/24: ENETUNREACH"]]);
    const failed = { round: { ...round, failures } };
    expect(peer("h2", failed)).toMatchObject({
      state: "failed",
      error: "route 10.5.2.0/24: ENETUNREACH",
    });
    expect(peer("h3", failed)).toMatchObject({ state: "failed", path: "none" });
    expect(peer("h3", failed)?.error).toContain("no IPv4 VTEP MAC address");
  });
});

test("drift that is not healed yet is pending", () => {
  const dirty = { ...round, clean: false, driftCount: 3 };
  expect(statusOf(parts({ round: dirty })).drift.pending).toBe(3);
});
