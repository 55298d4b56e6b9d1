// The part of a plan that is kept from one event to the next: nobody may be able to tell.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { fold } from "../../src/events/fold.ts";
import { type FabricState, initialState, type Node } from "../../src/events/state.ts";
import { standing } from "../../src/reconcilers/desired.ts";
import type { Plan } from "../../src/reconcilers/plan.ts";
import { history as anyHistory, FABRIC } from "../support/arbitraries.ts";
import { history } from "../support/history.ts";

/** Objects that no plan was made of before. */
function fresh(state: Readonly<FabricState>): FabricState {
  const { config, nodes, leases, peers } = structuredClone({ ...state, taken: null });
  return { ...state, config, nodes, leases, peers };
}

/** In order too: reports follow it. */
function written({ servedBy, kernel, ...plan }: Plan): string {
  const tables = Object.entries(kernel).map(([name, table]) => [name, [...table]]);
  return JSON.stringify({ ...plan, tables, served: servedBy.size });
}

function expectAsFresh(state: Readonly<FabricState>, node: string): void {
  const plan = standing(state, node);
  expect(written(plan)).toBe(written(standing(fresh(state), node)));
}

test("a plan is the same whatever plans were made before it", () => {
  fc.assert(
    fc.property(anyHistory, (records) => {
      const state = initialState(FABRIC);
      for (const record of records) {
        fold(state, record);
        for (const node of state.nodes.keys()) expectAsFresh(state, node);
      }
    }),
    { numRuns: 60 },
  );
});

const told = () =>
  history("default")
    .config({ Network: "10.5.0.0/16", EnableIPv6: true, IPv6Network: "fd00:5::/48" })
    .join("h1")
    .claim("h1", ["10.5.1.0/24", "fd00:5:0:1::/64"])
    .peer("lb", "10.9.0.0/24", "198.18.9.9", "02:00:00:00:00:01");

function changed(state: Readonly<FabricState>, part: Partial<Node>): FabricState {
  const self = { ...(state.nodes.get("h1") as Node), ...part };
  return { ...state, nodes: new Map([["h1", self]]) };
}

test("whatever a host's own part is made of makes it anew", () => {
  const state = told().state();
  const config = { ...state.config, ipv4: { ...state.config?.ipv4, network: "10.4.0.0/15" } };
  const lease = { ...state.leases.get("h1"), subnets: ["10.5.2.0/24", "fd00:5:0:2::/64"] };
  const others: FabricState[] = [
    { ...state, fabric: "other" },
    { ...state, config: config as FabricState["config"] },
    { ...state, leases: new Map([["h1", lease as never]]) },
    changed(state, { vtepMac: "02:00:00:00:00:07" }),
    changed(state, { vtepMac: null }),
    changed(state, { backend: "udp" }),
    changed(state, { ipMasq: true }),
    changed(state, { vtepMacV6: "02:00:00:00:00:08" }),
  ];
  const before = written(standing(state, "h1"));
  for (const other of others) {
    expectAsFresh(state, "h1");
    expectAsFresh(other, "h1");
    expect(written(standing(other, "h1"))).not.toBe(before);
  }
});

test("an event about others leaves a host's own tables alone", () => {
  const log = told();
  const before = standing(log.state(), "h1");
  const after = standing(log.removePeer("lb").state(), "h1");
  expect(before.kernel.routes.size - after.kernel.routes.size).toBe(1);
  for (const table of ["links", "addrs", "sysctls", "rules"] as const) {
    expect(after.kernel[table].size).toBeGreaterThan(0);
    expect(after.kernel[table]).toBe(before.kernel[table] as never);
  }
  expect(after.scope).toBe(before.scope);
});
