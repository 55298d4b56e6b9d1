import { describe, expect, test } from "bun:test";
import { holderAt } from "../../src/events/endpoints.ts";
import { type History, history } from "../support/history.ts";

const A = "10.5.1.0/24";
const given = () => history("t").config({ Network: "10.5.0.0/16" }).join("h1").join("h2");
const said = (story: History) => {
  const verdict = story.verdicts.at(-1);
  return verdict?.kind === "accepted" ? "accepted" : `${verdict?.kind}: ${verdict?.reason}`;
};

describe("FabricConfigured", () => {
  test("ends the leases that are no subnets of the new pool, and no others", () => {
    const story = given().claim("h1", [A]).claim("h2", ["10.5.200.0/24"]);
    story.config({ Network: "10.5.0.0/17" });
    expect([...story.state().leases.keys()]).toEqual(["h1"]);
    expect(Object.fromEntries(story.state().owners)).toEqual({ [A]: "h1" });
    expect(story.state().nodes.get("h2")).toMatchObject({ present: true, epoch: 1 });
    story.config({ Network: "10.5.0.0/17", SubnetLen: 25 });
    expect(story.state().owners.size).toBe(0);
  });

  test("that adds or drops a family ends every lease", () => {
    const story = given().claim("h1", [A]);
    story.config({ EnableIPv6: true, Network: "10.5.0.0/16", IPv6Network: "fd00:5::/48" });
    expect(story.state().leases.size).toBe(0);
  });

  test("that cannot be read is quarantined with the key at fault, and the old one stays", () => {
    const story = given();
    const before = story.state().config;
    const config = { Network: "10.5.0.0/33" };
    story.append({ type: "FabricConfigured", data: { config } }, "quarantined");
    expect(said(story)).toStartWith("quarantined: config.Network: expected an IPv4 prefix");
    expect(story.state().config).toBe(before);
    expect(story.state().quarantine).toMatchObject({
      count: 1,
      recent: [{ seq: 4, type: "FabricConfigured", subject: "heddle.t.admin.config" }],
    });
  });
});

describe("PeerAdded", () => {
  test("again under its name replaces it", () => {
    const story = given().peer("lb", "10.5.9.0/24", "198.18.9.9", "02:00:00:00:00:09");
    story.peer("lb", "10.5.9.0/25", "198.18.9.8");
    expect([...story.state().peers.values()]).toEqual([
      { name: "lb", subnet: "10.5.9.0/25", publicIp: "198.18.9.8", vtepMac: null },
    ]);
    expect(holderAt(story.state().endpoints, "198.18.9.9")).toBeUndefined();
    expect(holderAt(story.state().endpoints, "02:00:00:00:00:09")).toBeUndefined();
    expect(holderAt(story.state().endpoints, "198.18.9.8")).toBe("peer lb");
  });

  test.each([
    ["a lease", A, "198.18.9.8", null, `10.5.1.0/24 overlaps ${A} of h1`],
    ["a part of a lease", "10.5.1.128/25", "198.18.9.8", null, `10.5.1.128/25 overlaps ${A} of h1`],
    ["more than a lease", "10.5.0.0/21", "198.18.9.8", null, `10.5.0.0/21 overlaps ${A} of h1`],
    ["another peer", "10.5.9.128/25", "198.18.9.8", null, "10.5.9.128/25 overlaps peer lb"],
    ["a node's address", "10.5.8.0/24", "198.18.0.1", null, "198.18.0.1 belongs to h1"],
    ["a peer's address", "10.5.8.0/24", "198.18.9.9", null, "198.18.9.9 belongs to peer lb"],
    [
      "a peer's MAC",
      "10.5.8.0/24",
      "198.18.9.8",
      "02:00:00:00:00:09",
      "02:00:00:00:00:09 belongs to peer lb",
    ],
  ])("that takes %s is void", (_, subnet, publicIp, vtepMac, reason) => {
    const story = given().claim("h1", [A]);
    story.peer("lb", "10.5.9.0/24", "198.18.9.9", "02:00:00:00:00:09");
    const data = { name: "other", subnet, publicIp, vtepMac };
    story.append({ type: "PeerAdded", data }, "void");
    expect(said(story)).toBe(`void: ${reason}`);
    expect(story.state().peers.size).toBe(1);
  });

  test("a peer and a node may have one name without meeting", () => {
    const story = given().peer("h1", "10.5.9.0/24", "198.18.9.9").removePeer("h1");
    expect(story.state().nodes.get("h1")?.present).toBe(true);
    expect(holderAt(story.state().endpoints, "198.18.0.1")).toBe("h1");
  });
});

test("PeerRemoved frees subnet and endpoints; a second time is void", () => {
  const story = given().peer("lb", A, "198.18.9.9", "02:00:00:00:00:09").removePeer("lb");
  expect(holderAt(story.state().endpoints, "02:00:00:00:00:09")).toBeUndefined();
  story.claim("h1", [A]).append({ type: "PeerRemoved", data: { name: "lb" } }, "void");
  expect(said(story)).toBe("void: no peer named lb");
});

describe("LeaseReserved", () => {
  const reserve = (subnet: string, node: string | null) => ({
    type: "LeaseReserved" as const,
    data: { subnet, node, note: "" },
  });

  test("outside the pool is against the rules, over another's lease void", () => {
    const story = given().claim("h1", [A]);
    story.append(reserve("10.6.1.0/24", "h1"), "quarantined");
    expect(said(story)).toBe("quarantined: 10.6.1.0/24 is not in the pool");
    story.append(reserve(A, "h2"), "void").append(reserve(A, null), "void");
    expect(said(story)).toBe(`void: ${A} belongs to h1`);
  });

  test("is no lease, has no end, and can be for its present holder (W16)", () => {
    const story = given().claim("h1", [A]).append(reserve(A, "h1"));
    story.append(reserve("10.5.2.0/24", "h3"));
    expect(story.state().leases.size).toBe(1);
    expect([...story.state().reservations.keys()]).toEqual([A, "10.5.2.0/24"]);
    // No host's kernel changes for it.
    expect(story.state().changedSeq).toBeLessThan(story.state().seq - 1);
  });
});

describe("LeaseRevoked", () => {
  const revoke = (subnet: string) => ({
    type: "LeaseRevoked" as const,
    data: { subnet, note: "" },
  });

  test("ends lease and membership; a dead host no longer blocks its address", () => {
    const story = given().claim("h1", [A]).append(revoke(A));
    expect(story.state().owners.size).toBe(0);
    expect(story.state().nodes.get("h1")).toMatchObject({ present: false, revoked: [A] });
    story.join("h9", { publicIp: "198.18.0.1" }).claim("h9", [A]);
  });

  test("ends a reservation; of what is neither leased nor reserved it is void", () => {
    const story = given();
    story.append({ type: "LeaseReserved", data: { subnet: A, node: null, note: "" } });
    story.append(revoke(A)).append(revoke(A), "void");
    expect(said(story)).toBe(`void: ${A} is not leased`);
  });
});

test("a token is there from TokenCreated to TokenRevoked", () => {
  const data = { name: "ci", hash: "ab".repeat(32), scopes: ["read" as const], expiresAt: null };
  const story = given().append({ type: "TokenCreated", data });
  expect(story.state().tokens.get("ci")).toEqual(data);
  story.append({ type: "TokenRevoked", data: { name: "ci" } });
  expect(story.state().tokens.size).toBe(0);
  story.append({ type: "TokenRevoked", data: { name: "ci" } }, "void");
  expect(said(story)).toBe("void: no token named ci");
});

test("a webhook stays as it was added until it is removed", () => {
  const data = { name: "ci", url: "https://ci.example/hook", types: ["NodeLeft"], nodes: [] };
  const story = given().append({ type: "WebhookAdded", data });
  const added = { ...data, addedSeq: story.state().seq };
  story.append({ type: "WebhookAdded", data: { ...data, url: "https://else.example/" } }, "void");
  expect(story.state().webhooks.get("ci")).toEqual(added);
  story.append({ type: "WebhookRemoved", data: { name: "ci" } });
  expect(story.state().webhooks.size).toBe(0);
  story.append({ type: "WebhookRemoved", data: { name: "ci" } }, "void");
});
