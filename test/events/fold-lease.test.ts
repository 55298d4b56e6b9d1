import { describe, expect, test } from "bun:test";
import { decide } from "../../src/events/decide.ts";
import { holderAt } from "../../src/events/endpoints.ts";
import { type History, history } from "../support/history.ts";

const A = "10.5.1.0/24";
const B = "10.5.2.0/24";

/** A fabric of two present nodes without leases. */
const given = () => history("t").config({ Network: "10.5.0.0/16" }).join("h1").join("h2");
const lease = (node: string, epoch: number, subnets: readonly string[], ttlSeconds = 60) => ({
  node,
  epoch,
  subnets: [...subnets],
  ttlSeconds,
});
const said = (story: History) => {
  const verdict = story.verdicts.at(-1);
  return verdict === undefined || verdict.kind === "accepted"
    ? verdict?.kind
    : `${verdict.kind}: ${verdict.reason}`;
};
const owners = (story: History) => Object.fromEntries(story.state().owners);
const expiry = (owner: string, epoch: number, subnets: readonly string[]) => ({
  type: "LeaseExpired" as const,
  data: { node: "h2", owner, epoch, subnets: [...subnets] },
});

describe("LeaseClaimed", () => {
  test("gives a free subnet to a present node, for the time it asked for", () => {
    const story = given().claim("h1", [A], 60);
    const { leases, timeMs } = story.state();
    expect(leases.get("h1")).toMatchObject({
      epoch: 1,
      subnets: [A],
      claimedMs: timeMs,
      renewedMs: timeMs,
      expiresMs: timeMs + 60_000,
    });
    expect(owners(story)).toEqual({ [A]: "h1" });
  });

  test("the first valid claim wins; the later one is void and its node claims another (W1)", () => {
    const story = given().claim("h1", [A]);
    story.append({ type: "LeaseClaimed", data: lease("h2", 1, [A]) }, "void");
    expect(said(story)).toBe(`void: ${A} belongs to h1`);
    const again = decide(story.state(), { type: "Claim", node: "h2", ttlSeconds: 60 });
    if (!again.ok || again.events[0] === undefined) throw new Error("no second claim");
    story.append(again.events[0]);
    expect(new Set(story.state().owners.values())).toEqual(new Set(["h1", "h2"]));
  });

  test.each([
    ["of a node that has not joined", lease("h9", 1, [A]), "void: h9 has not joined"],
    ["of another epoch than the next", lease("h1", 2, [A]), "void: epoch 2, the next of h1 is 1"],
    [
      "outside the pool",
      lease("h1", 1, ["10.6.0.0/24"]),
      "quarantined: 10.6.0.0/24 is not in the pool",
    ],
    [
      "below SubnetMin",
      lease("h1", 1, ["10.5.0.0/24"]),
      "quarantined: 10.5.0.0/24 is not in the pool",
    ],
    [
      "of another length",
      lease("h1", 1, ["10.5.1.0/25"]),
      "quarantined: 10.5.1.0/25 is not in the pool",
    ],
    [
      "of two subnets in one family",
      lease("h1", 1, [A, B]),
      "quarantined: a lease of this fabric has 1 subnet(s), one in each family",
    ],
  ])("%s changes nothing", (_, data, verdict) => {
    const story = given();
    const kind = verdict.startsWith("void") ? "void" : "quarantined";
    story.append({ type: "LeaseClaimed", data }, kind);
    expect(said(story)).toBe(verdict);
    expect(story.state().leases.size).toBe(0);
  });

  test("before there is a configuration is against the rules", () => {
    const story = history("t").join("h1");
    story.append({ type: "LeaseClaimed", data: lease("h1", 1, [A]) }, "quarantined");
    expect(said(story)).toBe("quarantined: the fabric has no configuration yet");
  });

  test("a node holds one lease; a second claim is void, the same or another", () => {
    const story = given().claim("h1", [A]);
    story.append({ type: "LeaseClaimed", data: lease("h1", 1, [A]) }, "void");
    expect(said(story)).toBe("void: h1 holds this lease already");
    story.append({ type: "LeaseClaimed", data: lease("h1", 2, [B]) }, "void");
    expect(said(story)).toBe(`void: h1 holds ${A}`);
    expect(owners(story)).toEqual({ [A]: "h1" });
  });

  test("a dual-stack lease has one subnet in each family", () => {
    const six = "fd00:5:0:1::/64";
    const story = history("t")
      .config({ EnableIPv6: true, Network: "10.5.0.0/16", IPv6Network: "fd00:5::/48" })
      .join("h1")
      .join("h2");
    story.append({ type: "LeaseClaimed", data: lease("h1", 1, [A]) }, "quarantined");
    story.append({ type: "LeaseClaimed", data: lease("h1", 1, [A, A]) }, "quarantined");
    story.claim("h1", [six, A]);
    story.append({ type: "LeaseClaimed", data: lease("h2", 1, [B, six]) }, "void");
    expect(owners(story)).toEqual({ [six]: "h1", [A]: "h1" });
  });

  test("nodes that have IPv6 only hold a lease each (W13)", () => {
    const story = history("t").config({
      EnableIPv4: false,
      EnableIPv6: true,
      IPv6Network: "fd00:5::/48",
    });
    for (const [node, subnet] of [
      ["h1", "fd00:5:0:1::/64"],
      ["h2", "fd00:5:0:2::/64"],
    ] as const) {
      story.join(node, { publicIp: null, vtepMac: null }).claim(node, [subnet]);
    }
    expect(owners(story)).toEqual({ "fd00:5:0:1::/64": "h1", "fd00:5:0:2::/64": "h2" });
  });

  test("of a reserved subnet is for the one it is reserved for", () => {
    const story = given();
    story.append({ type: "LeaseReserved", data: { subnet: A, node: "h1", note: "" } });
    story.append({ type: "LeaseReserved", data: { subnet: B, node: null, note: "" } });
    story.append({ type: "LeaseClaimed", data: lease("h2", 1, [A]) }, "void");
    expect(said(story)).toBe(`void: ${A} is reserved for h1`);
    story.append({ type: "LeaseClaimed", data: lease("h1", 1, [B]) }, "void");
    expect(said(story)).toBe(`void: ${B} is reserved`);
    story.claim("h1", [A]);
  });

  test("a reservation holds when the subnet length changes under it", () => {
    const story = given();
    story.append({ type: "LeaseReserved", data: { subnet: A, node: null, note: "" } });
    story.config({ Network: "10.5.0.0/16", SubnetLen: 26 });
    story.append({ type: "LeaseClaimed", data: lease("h1", 1, ["10.5.1.64/26"]) }, "void");
    expect(said(story)).toBe("void: 10.5.1.64/26 is reserved");
    story.config({ Network: "10.5.0.0/16", SubnetLen: 20 });
    story.append({ type: "LeaseClaimed", data: lease("h1", 1, ["10.5.16.0/20"]) });
  });

  test("of a subnet that a foreign peer has is void", () => {
    const story = given().peer("lb", "10.5.1.128/25", "198.18.9.9");
    story.append({ type: "LeaseClaimed", data: lease("h1", 1, [A]) }, "void");
    expect(said(story)).toBe(`void: ${A} overlaps peer lb`);
  });
});

describe("LeaseRenewed", () => {
  test("counts from the log's time", () => {
    const story = given().claim("h1", [A], 60).wait(50_000);
    story.append({ type: "LeaseRenewed", data: lease("h1", 1, [A], 30) });
    const { leases, timeMs } = story.state();
    expect(leases.get("h1")).toMatchObject({
      renewedMs: timeMs,
      ttlSeconds: 30,
      expiresMs: timeMs + 30_000,
    });
  });

  test("cannot touch a lease that is another's by now (W6)", () => {
    const story = given().claim("h1", [A], 1).wait(2000);
    story.append(expiry("h1", 1, [A])).claim("h2", [A]);
    const before = { ...story.state().leases.get("h2") };
    story.append({ type: "LeaseRenewed", data: lease("h1", 1, [A]) }, "void");
    expect(said(story)).toBe("void: h1 holds no lease");
    expect(story.state().leases.get("h2")).toEqual(before as never);
  });

  test("of an epoch that is over is void (W6)", () => {
    const story = given().claim("h1", [A]).release("h1").claim("h1", [A]);
    story.append({ type: "LeaseRenewed", data: lease("h1", 1, [A]) }, "void");
    expect(said(story)).toBe("void: epoch 1, h1 is at 2");
  });

  test("of other subnets than it holds is void", () => {
    const story = given().claim("h1", [A]);
    story.append({ type: "LeaseRenewed", data: lease("h1", 1, [B]) }, "void");
    expect(said(story)).toBe(`void: h1 holds ${A}`);
  });
});

describe("LeaseReleased", () => {
  test("frees the subnets and keeps the node and its epoch", () => {
    const story = given().claim("h1", [A]).release("h1");
    expect(owners(story)).toEqual({});
    expect(story.state().nodes.get("h1")).toMatchObject({ present: true, epoch: 1, previous: [A] });
  });

  test("said twice, or for another epoch, is void", () => {
    const story = given().claim("h1", [A]);
    const data = { node: "h1", epoch: 2, subnets: [A] };
    story.append({ type: "LeaseReleased", data }, "void");
    story.release("h1");
    story.append({ type: "LeaseReleased", data: { ...data, epoch: 1 } }, "void");
    expect(said(story)).toBe("void: h1 holds no lease");
  });
});

describe("LeaseExpired", () => {
  test("is believed when the log's own time says so; the node is out until it joins again", () => {
    const story = given().claim("h1", [A], 60).wait(60_000);
    story.append(expiry("h1", 1, [A]));
    expect(owners(story)).toEqual({});
    expect(story.state().nodes.get("h1")).toMatchObject({ present: false, previous: [A] });
    expect(holderAt(story.state().endpoints, "198.18.0.1")).toBeUndefined();
    story.join("h1").claim("h1", [A]);
    expect(story.state().leases.get("h1")?.epoch).toBe(2);
  });

  test("a lease is held to its last millisecond, whoever says otherwise (W18)", () => {
    // The append itself takes one millisecond of this log's time.
    const story = given().claim("h1", [A], 60).wait(59_998);
    story.append(expiry("h1", 1, [A]), "quarantined");
    expect(said(story)).toBe(
      "quarantined: premature: the lease of h1 runs until 2030-01-01T00:01:00.004Z",
    );
    expect(owners(story)).toEqual({ [A]: "h1" });
    story.append(expiry("h1", 1, [A]));
  });

  test("a lease whose time is up is still held until somebody says so (W18)", () => {
    const story = given().claim("h1", [A], 1).wait(60_000);
    story.append({ type: "LeaseClaimed", data: lease("h2", 1, [A]) }, "void");
    story.append({ type: "LeaseRenewed", data: lease("h1", 1, [A]) });
    expect(owners(story)).toEqual({ [A]: "h1" });
  });

  test("of another epoch or of a lease that is gone is void", () => {
    const story = given().claim("h1", [A], 1).wait(5000);
    story.append(expiry("h1", 2, [A]), "void").append(expiry("h1", 1, [B]), "void");
    story.append(expiry("h1", 1, [A]));
    story.append(expiry("h1", 1, [A]), "void");
    expect(said(story)).toBe("void: h1 holds no lease");
  });

  test("never takes a reservation, which has no end (W16)", () => {
    const story = given();
    story.append({ type: "LeaseReserved", data: { subnet: A, node: "h1", note: "" } });
    story.claim("h1", [A], 1).wait(10 * 365 * 86_400_000);
    story.append(expiry("h1", 1, [A]));
    expect(story.state().reservations.get(A)).toMatchObject({ node: "h1" });
    story.append({ type: "LeaseClaimed", data: lease("h2", 1, [A]) }, "void");
  });
});
