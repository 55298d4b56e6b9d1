import { expect, test } from "bun:test";
import type { FabricState } from "../../src/events/state.ts";
import { fabricDiff, fabricDiffLines } from "../../src/http/fabric-diff.ts";
import { history } from "../support/history.ts";

function start() {
  return history("f")
    .config({ Network: "10.5.0.0/16" })
    .join("h1")
    .claim("h1", ["10.5.1.0/24"])
    .peer("lb", "10.9.0.0/24", "198.18.9.9");
}

function changes(before: Readonly<FabricState>, after: Readonly<FabricState>): readonly string[] {
  return fabricDiffLines(fabricDiff(before, after));
}

test("a state does not differ from itself", () => {
  const state = start().state();
  expect(changes(state, state)).toEqual([]);
});

test("renewals and reports are no difference", () => {
  const before = structuredClone(start().state());
  const lease = { node: "h1", epoch: 1, subnets: ["10.5.1.0/24"], ttlSeconds: 600 };
  const after = start()
    .append({ type: "LeaseRenewed", data: lease })
    .append({ type: "HostDegraded", data: { node: "h1", problems: ["x"] } })
    .state();
  expect(changes(before, after)).toEqual([]);
});

test("every kind of change is one line", () => {
  const before = structuredClone(start().join("h2").claim("h2", ["10.5.2.0/24"]).state());
  const after = start()
    .join("h2")
    .claim("h2", ["10.5.2.0/24"])
    .config({ Network: "10.5.0.0/16", Backend: { Type: "vxlan", DirectRouting: true } })
    .update("h1", { publicIp: "198.18.7.7", underlay: { mtu: 9000 } })
    .leave("h2")
    .release("h1")
    .claim("h1", ["10.5.8.0/24"])
    .join("h3")
    .claim("h3", ["10.5.3.0/24"])
    .peer("lb", "10.9.0.0/24", "198.18.9.10")
    .peer("new", "10.9.1.0/24", "198.18.9.11")
    .append({ type: "LeaseReserved", data: { subnet: "10.5.9.0/24", node: null, note: "" } })
    .state();
  expect(changes(before, after)).toEqual([
    "config      ~ Backend.DirectRouting: false -> true",
    "node        + h3",
    "node        - h2",
    "node        ~ h1 publicIp: 198.18.0.1 -> 198.18.7.7",
    "node        ~ h1 underlay.mtu: 1500 -> 9000",
    "lease       + h3 10.5.3.0/24",
    "lease       - h2 10.5.2.0/24",
    "lease       ~ h1 10.5.1.0/24 -> 10.5.8.0/24",
    "reservation + 10.5.9.0/24",
    "peer        + new 10.9.1.0/24 at 198.18.9.11",
    "peer        ~ lb publicIp: 198.18.9.9 -> 198.18.9.10",
  ]);
  const back = changes(after, before);
  expect(back).toContain("peer        - new 10.9.1.0/24 at 198.18.9.11");
  expect(back).toContain("reservation - 10.5.9.0/24");
});
