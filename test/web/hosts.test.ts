import { describe, expect, test } from "bun:test";
import { type StateDocument, stateDocument } from "../../src/events/state-document.ts";
import { findHosts, type HostProgress, hostRows, worstFirst } from "../../src/web/hosts.ts";
import { history } from "../support/history.ts";

const said: HostProgress = {
  node: "h1",
  state: "ready",
  applied: 1000,
  peers: { applied: 1, pending: 0, failed: 0 },
  problems: [],
  heardAt: "2030-01-01T00:00:00.000Z",
  silent: false,
};

function fabric(): StateDocument {
  const log = history("t")
    .config({ Network: "10.5.0.0/16" })
    .join("h2")
    .claim("h2", ["10.5.2.0/24"])
    .join("h1")
    .claim("h1", ["10.5.1.0/24"])
    .join("h10");
  return stateDocument(log.state());
}

function healthOf(part: Partial<HostProgress> | null): string | undefined {
  const progress = new Map(part === null ? [] : [["h1", { ...said, ...part }] as const]);
  return hostRows(fabric(), progress).find(({ name }) => name === "h1")?.health;
}

describe("hosts", () => {
  test("come in the order people count, with their subnets", () => {
    const rows = hostRows(fabric(), null);
    expect(rows.map(({ name }) => name)).toEqual(["h1", "h2", "h10"]);
    expect(rows.map(({ subnets }) => subnets)).toEqual([["10.5.1.0/24"], ["10.5.2.0/24"], []]);
  });

  test("are as well as they last said", () => {
    expect(healthOf({})).toBe("ready");
    expect(healthOf({ applied: 1 })).toBe("behind");
    expect(healthOf({ state: "starting" })).toBe("behind");
    expect(healthOf({ state: "degraded" })).toBe("degraded");
    expect(healthOf({ peers: { applied: 1, pending: 0, failed: 1 } })).toBe("degraded");
    expect(healthOf({ state: "frozen" })).toBe("frozen");
    expect(healthOf({ silent: true, state: "frozen" })).toBe("silent");
    expect(healthOf(null)).toBe("silent");
  });

  test("of the past are only known to be there", () => {
    expect(hostRows(fabric(), null).map(({ health }) => health)).toEqual(
      Array.from({ length: 3 }, () => "unknown"),
    );
    const left = history("t").config({ Network: "10.5.0.0/16" }).join("h1").leave("h1");
    expect(hostRows(stateDocument(left.state()), null)[0]?.health).toBe("left");
  });

  test("are grouped by the link they are on", () => {
    const log = history("t")
      .config({ Network: "10.5.0.0/16" })
      .join("a", { publicIp: "198.18.0.9", underlay: { onlink: ["198.18.0.0/20"] } })
      .join("b", { publicIp: "198.18.77.9", publicIpv6: null, underlay: { onlink: [] } });
    const groups = hostRows(stateDocument(log.state()), null).map(({ group }) => group);
    expect(groups).toEqual(["198.18.0.0/20", "198.18.77.0/24"]);
  });
});

test("hosts are found by name, subnet and address, worst first", () => {
  const progress = new Map([
    ["h1", said],
    ["h2", { ...said, node: "h2", state: "frozen" }],
  ]);
  const rows = hostRows(fabric(), progress);
  expect(worstFirst(rows).map(({ name }) => name)).toEqual(["h2", "h10", "h1"]);
  expect(findHosts(rows, "10.5.1.").map(({ name }) => name)).toEqual(["h1"]);
  expect(findHosts(rows, " H1 ").map(({ name }) => name)).toEqual(["h1", "h10"]);
});
