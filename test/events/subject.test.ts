import { expect, test } from "bun:test";
import fc from "fast-check";
import { allSubjects, subjectOf } from "../../src/events/subject.ts";
import { draft } from "../support/arbitraries.ts";
import { golden } from "../support/golden-events.ts";

test("each type has its subject", () => {
  const subjects = golden().map(({ type, event }) => [type, subjectOf("lab", event)]);
  expect(Object.fromEntries(subjects)).toEqual({
    FabricConfigured: "heddle.lab.admin.config",
    PeerAdded: "heddle.lab.admin.peer.lb_example",
    PeerRemoved: "heddle.lab.admin.peer.lb_example",
    LeaseReserved: "heddle.lab.admin.lease.10_5_9_0-24",
    LeaseRevoked: "heddle.lab.admin.lease.10_5_9_0-24",
    TokenCreated: "heddle.lab.admin.token.ci",
    TokenRevoked: "heddle.lab.admin.token.ci",
    WebhookAdded: "heddle.lab.admin.hook.ci",
    WebhookRemoved: "heddle.lab.admin.hook.ci",
    NodeJoined: "heddle.lab.node.h1_example.member",
    NodeUpdated: "heddle.lab.node.h1_example.member",
    NodeLeft: "heddle.lab.node.h1_example.member",
    LeaseClaimed: "heddle.lab.node.h1_example.lease",
    LeaseRenewed: "heddle.lab.node.h1_example.lease",
    LeaseReleased: "heddle.lab.node.h1_example.lease",
    LeaseExpired: "heddle.lab.node.h1_example.lease",
    NeighborMissed: "heddle.lab.node.h1_example.miss",
    NeighborAged: "heddle.lab.node.h1_example.miss",
    DriftHealed: "heddle.lab.node.h1_example.report",
    HostDegraded: "heddle.lab.node.h1_example.report",
    HostRecovered: "heddle.lab.node.h1_example.report",
    HostFrozen: "heddle.lab.node.h1_example.report",
  });
});

test("every subject is a valid one below the fabric's wildcard", () => {
  expect(allSubjects("lab")).toBe("heddle.lab.>");
  fc.assert(
    fc.property(draft, (event) => {
      expect(subjectOf("lab", event)).toMatch(/^heddle\.lab\.[^\s.*>]+(\.[^\s.*>]+)+$/);
    }),
  );
});

test("an event that names a writer is below that writer's own subjects", () => {
  fc.assert(
    fc.property(draft, (event) => {
      const subject = subjectOf("lab", event);
      if (!("node" in event.data) || event.type === "LeaseReserved") return;
      expect(subject.split(".")[3]).toBe(event.data.node?.replaceAll(".", "_"));
    }),
  );
});
