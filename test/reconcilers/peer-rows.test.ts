// What is kept of peers from plan to plan: nobody may be able to tell, but by the time it takes.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { fold } from "../../src/events/fold.ts";
import { type FabricState, initialState } from "../../src/events/state.ts";
import { standing } from "../../src/reconcilers/desired.ts";
import { PeerRows } from "../../src/reconcilers/peer-rows.ts";
import type { Plan } from "../../src/reconcilers/plan.ts";
import { history as anyHistory, FABRIC } from "../support/arbitraries.ts";
import { history } from "../support/history.ts";

/** In order too: reports follow it. */
function written({ servedBy, kernel, ...plan }: Plan): string {
  const tables = Object.entries(kernel).map(([name, table]) => [name, [...table]]);
  const ids = [
    ...[...kernel.routes.keys()].map((key) => `route ${key}`),
    ...[...kernel.neighs.keys()].map((key) => `neigh ${key}`),
    ...[...kernel.fdb.keys()].map((key) => `fdb ${key}`),
  ];
  return JSON.stringify({ ...plan, tables, served: ids.map((id) => servedBy.get(id) ?? null) });
}

function expectAsFresh(state: Readonly<FabricState>, node: string, rows: PeerRows): void {
  expect(written(standing(state, node, rows))).toBe(written(standing(state, node)));
}

test("a plan from the last one's rows is the plan from none, after any history", () => {
  fc.assert(
    fc.property(anyHistory, fc.nat(3), (records, pause) => {
      const state = initialState(FABRIC);
      const kept = new Map<string, PeerRows>();
      for (const [i, record] of records.entries()) {
        fold(state, record);
        if (i % (pause + 1) !== 0) continue;
        for (const node of state.nodes.keys()) {
          const rows = kept.get(node) ?? new PeerRows();
          kept.set(node, rows);
          expectAsFresh(state, node, rows);
        }
      }
    }),
    { numRuns: 60 },
  );
});

function fabricOf(peers: number) {
  const log = history("default").config({ Network: "10.0.0.0/8", SubnetLen: 24 });
  for (let i = 1; i <= peers; i += 1) log.join(`h${i}`).claim(`h${i}`, [`10.5.${i}.0/24`]);
  return log;
}

test("an event about one peer leaves the objects of the others alone", () => {
  const log = fabricOf(40).peer("lb", "10.9.0.0/24", "198.18.9.9", "02:00:00:00:00:01");
  const rows = new PeerRows();
  const before = standing(log.state(), "h1", rows);
  const state = log.leave("h7").join("h41").claim("h41", ["10.5.41.0/24"]).state();
  const after = standing(state, "h1", rows);
  expect(written(after)).toBe(written(standing(state, "h1")));
  expect(after.servedBy.get("route 10.5.41.0/24 0")).toBe("h41");
  expect(after.servedBy.get("route 10.5.7.0/24 0")).toBeUndefined();
  for (const table of ["routes", "neighs", "fdb"] as const) {
    const kept = [...after.kernel[table]].filter(
      ([key, object]) => before.kernel[table].get(key) === object,
    );
    // 39 other hosts and a foreign peer, without the one that left.
    expect(kept.length).toBe(39);
    expect(after.kernel[table].size).toBe(40);
  }
});

test("when many are gone in one place the plan is right all the same", () => {
  const log = fabricOf(40);
  const rows = new PeerRows();
  standing(log.state(), "h1", rows);
  for (let i = 5; i < 30; i += 1) log.leave(`h${i}`);
  expectAsFresh(log.state(), "h1", rows);
  expect(standing(log.state(), "h1", rows).kernel.routes.size).toBe(14);
});

test("a peer that announces itself anew at its place gets a row of its own", () => {
  const log = fabricOf(4);
  const rows = new PeerRows();
  standing(log.state(), "h1", rows);
  log.update("h3", { publicIp: "198.18.0.77" });
  const plan = standing(log.state(), "h1", rows);
  expect(written(plan)).toBe(written(standing(log.state(), "h1")));
  expect([...plan.kernel.fdb.values()].some(({ dst }) => dst === "198.18.0.77")).toBe(true);
});

test("another lease of the same node, or another device of our own, makes rows anew", () => {
  const log = fabricOf(4);
  const rows = new PeerRows();
  standing(log.state(), "h1", rows);
  log.release("h4").claim("h4", ["10.5.44.0/24"]);
  expectAsFresh(log.state(), "h1", rows);
  expect(standing(log.state(), "h1", rows).kernel.routes.has("10.5.44.0/24 0")).toBe(true);
  log.config({ Network: "10.0.0.0/8", SubnetLen: 24, Backend: { Type: "vxlan", VNI: 7 } });
  expectAsFresh(log.state(), "h1", rows);
  const devices = new Set(
    [...standing(log.state(), "h1", rows).kernel.routes.values()].map(({ dev }) => dev),
  );
  expect([...devices]).toEqual(["heddle.7"]);
});
