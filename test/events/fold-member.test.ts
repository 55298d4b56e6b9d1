import { describe, expect, test } from "bun:test";
import { eachEndpoint, holderAt } from "../../src/events/endpoints.ts";
import { NAME_GUARD_MS } from "../../src/events/fold-member.ts";
import { defaultMember, type History, history } from "../support/history.ts";

const A = "10.5.1.0/24";
const given = () => history("t").config({ Network: "10.5.0.0/16" });
const said = (story: History) => {
  const verdict = story.verdicts.at(-1);
  return verdict?.kind === "accepted" ? "accepted" : `${verdict?.kind}: ${verdict?.reason}`;
};
const joined = (node: string, part: object) => ({
  type: "NodeJoined" as const,
  data: { ...defaultMember("t", node), ...part },
});
const updated = (node: string, part: object) => ({
  ...joined(node, part),
  type: "NodeUpdated" as const,
});

describe("NodeJoined", () => {
  test("makes the node present and its endpoints its own", () => {
    const story = given().join("h1");
    expect(story.state().nodes.get("h1")).toMatchObject({ present: true, joinedSeq: 2, epoch: 0 });
    expect(holderAt(story.state().endpoints, "198.18.0.1")).toBe("h1");
  });

  test("again, by another program or after a reboot, is a change for nobody", () => {
    const story = given().join("h1").claim("h1", [A]).wait(NAME_GUARD_MS);
    const { changedSeq } = story.state();
    story.join("h1", { instance: "after-reboot", version: "next" });
    expect(story.state().nodes.get("h1")).toMatchObject({ instance: "after-reboot", joinedSeq: 4 });
    expect(story.state().changedSeq).toBe(changedSeq);
    const { underlay } = defaultMember("t", "h1");
    const facts = [
      { publicIp: "198.18.5.5" },
      { publicIpv6: "2001:db8::5:5" },
      { vtepMac: "02:00:00:00:00:05" },
      { vtepMacV6: "02:00:00:00:00:06" },
      { backend: "host-gw" as const },
      { ipMasq: true },
      { capabilities: ["more"] },
      { underlay: { ...underlay, mtu: 1400 } },
    ];
    for (const fact of facts) {
      story.join("h1", { instance: "after-reboot" });
      story.join("h1", { instance: "after-reboot", ...fact });
      expect([fact, story.state().changedSeq]).toEqual([fact, story.state().seq]);
    }
    const last = { instance: "after-reboot", ...facts.at(-1) };
    story.leave("h1").join("h1", last);
    expect(story.state().changedSeq).toBe(story.state().seq);
  });

  test("again after a restart keeps lease, epoch and previous subnet", () => {
    const story = given().join("h1").claim("h1", [A]).wait(NAME_GUARD_MS);
    story.join("h1", { instance: "after-reboot", publicIp: "198.18.7.7" });
    expect(story.state().leases.get("h1")?.subnets).toEqual([A]);
    expect(story.state().nodes.get("h1")).toMatchObject({ epoch: 1, instance: "after-reboot" });
    expect(holderAt(story.state().endpoints, "198.18.0.1")).toBeUndefined();
  });

  test("after it had left keeps epoch and previous subnet, to ask for the same again", () => {
    const story = given().join("h1").claim("h1", [A]).leave("h1").join("h1");
    expect(story.state().nodes.get("h1")).toMatchObject({ epoch: 1, previous: [A] });
  });

  test("of a second host under a name that is in use is void while the first is recent", () => {
    const story = given()
      .join("h1")
      .wait(NAME_GUARD_MS - 2);
    story.append(joined("h1", { instance: "impostor", publicIp: "198.18.7.7" }), "void");
    expect(said(story)).toBe("void: the name h1 is in use by instance boot-of-h1");
    expect(story.state().nodes.get("h1")?.publicIp).toBe("198.18.0.1");
    story.append(joined("h1", { instance: "impostor", publicIp: "198.18.7.7" }));
  });

  test("takes the address of a member that has no lease and was silent for ten minutes", () => {
    const story = given().join("h1").wait(599_000);
    story.append(joined("h2", { publicIp: "198.18.0.1" }), "void");
    story.wait(1000).append(joined("h2", { publicIp: "198.18.0.1" }));
    expect(story.state().nodes.get("h1")?.present).toBe(false);
    expect(holderAt(story.state().endpoints, "198.18.0.1")).toBe("h2");
  });

  test("never takes the address of a member that holds a lease, however silent", () => {
    const story = given().join("h1").claim("h1", [A]).wait(601_000);
    story.append(joined("h2", { publicIp: "198.18.0.1" }), "void");
    expect(said(story)).toBe("void: 198.18.0.1 belongs to h1");
  });

  test("of the same instance is never refused its own name", () => {
    given().join("h1").join("h1");
  });

  test.each([
    ["address", { publicIp: "198.18.0.1" }, "198.18.0.1"],
    ["IPv6 address", { publicIpv6: "2001:db8::1" }, "2001:db8::1"],
    [
      "MAC address",
      { vtepMac: defaultMember("t", "h1").vtepMac },
      defaultMember("t", "h1").vtepMac,
    ],
  ])("with another node's %s is void", (_, part, endpoint) => {
    const story = given().join("h1");
    story.append(joined("h2", part), "void");
    expect(said(story)).toBe(`void: ${endpoint} belongs to h1`);
    expect(story.state().nodes.has("h2")).toBe(false);
  });

  test("with a foreign peer's address is void", () => {
    const story = given().peer("lb", "10.5.9.0/24", "198.18.0.2");
    story.append(joined("h2", {}), "void");
    expect(said(story)).toBe("void: 198.18.0.2 belongs to peer lb");
  });

  test("an address is free again once its node has left", () => {
    const story = given().join("h1").leave("h1").join("h2", { publicIp: "198.18.0.1" });
    // What the one that left had is not its own any more, not even when it comes back.
    story.append(joined("h1", {}), "void");
    story.join("h1", { publicIp: "198.18.0.9" });
    expect(holderAt(story.state().endpoints, "198.18.0.1")).toBe("h2");
  });
});

describe("NodeUpdated", () => {
  test("moves the endpoints and is a change for everybody (W4)", () => {
    const story = given().join("h1").claim("h1", [A]);
    story.update("h1", { publicIp: "198.18.5.5", vtepMac: "02:00:00:00:00:05" });
    const { nodes, endpoints, changedSeq, seq } = story.state();
    expect(nodes.get("h1")).toMatchObject({
      publicIp: "198.18.5.5",
      present: true,
      updatedSeq: seq,
    });
    expect(changedSeq).toBe(seq);
    expect(holderAt(endpoints, "198.18.0.1")).toBeUndefined();
    expect(holderAt(endpoints, "02:00:00:00:00:05")).toBe("h1");
    expect(story.state().leases.get("h1")?.subnets).toEqual([A]);
  });

  test("that says the same again is word from the node, and keeps everything", () => {
    // Repeated data is one object from some time on (codec-memo.ts), and must fold alike.
    const story = given().join("h1").claim("h1", [A]);
    const { nodes, endpoints, seq: claimedSeq } = story.state();
    const before = { ...nodes.get("h1") };
    const held = new Map(eachEndpoint(endpoints));
    for (let time = 1; time <= 200; time++) {
      story.update("h1", {});
      const { seq, timeMs } = story.state();
      const now = { updatedSeq: seq, heardMs: timeMs };
      expect(story.state().nodes.get("h1")).toEqual({ ...before, ...now } as never);
      expect(story.state().changedSeq).toBe(claimedSeq);
    }
    expect(new Map(eachEndpoint(story.state().endpoints))).toEqual(held);
  });

  test("of a node that is not there, or by another instance, is void", () => {
    const story = given().join("h1");
    story.append(updated("h2", {}), "void");
    expect(said(story)).toBe("void: h2 has not joined");
    story.append(updated("h1", { instance: "old-process" }), "void");
    expect(said(story)).toBe("void: h1 is now instance boot-of-h1");
    story.leave("h1").append(updated("h1", {}), "void");
  });

  test("to an address that another node has is void and leaves its own in place", () => {
    const story = given().join("h1").join("h2");
    story.append(updated("h1", { publicIp: "198.18.0.2" }), "void");
    expect(holderAt(story.state().endpoints, "198.18.0.1")).toBe("h1");
    expect(story.state().nodes.get("h1")?.present).toBe(true);
  });
});

describe("NodeLeft", () => {
  test("ends the lease and frees the endpoints, and remembers the subnet", () => {
    const story = given().join("h1").claim("h1", [A]).leave("h1");
    const { leases, owners, endpoints, nodes } = story.state();
    expect([leases.size, owners.size, [...eachEndpoint(endpoints)].length]).toEqual([0, 0, 0]);
    expect(nodes.get("h1")).toMatchObject({ present: false, previous: [A], epoch: 1 });
  });

  test("twice is void", () => {
    const story = given().join("h1").leave("h1");
    story.append({ type: "NodeLeft", data: { node: "h1", reason: "" } }, "void");
    expect(said(story)).toBe("void: h1 has not joined");
  });
});
