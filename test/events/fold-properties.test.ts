// What holds for the fold whatever a log contains: histories of honest, late, forged and broken
// writers.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { overlaps, prefixOf } from "../../src/events/address.ts";
import { eachEndpoint } from "../../src/events/endpoints.ts";
import { fold } from "../../src/events/fold.ts";
import { endpointsOf } from "../../src/events/fold-lease.ts";
import type { Recorded } from "../../src/events/log.ts";
import { inPool } from "../../src/events/pool.ts";
import { decodeSnapshot, encodeSnapshot } from "../../src/events/snapshot.ts";
import { type FabricState, initialState } from "../../src/events/state.ts";
import { stateDocument } from "../../src/events/state-document.ts";
import { desired } from "../../src/reconcilers/desired.ts";
import { FABRIC, history, steps, tell } from "../support/arbitraries.ts";
import { contentOf } from "../support/content.ts";

const RUNS = { numRuns: 150 };

function foldAll(records: readonly Recorded[], state = initialState(FABRIC)): FabricState {
  for (const record of records) fold(state, record);
  return state;
}

/** As after a restart: nothing but the text of the snapshot is kept. */
function throughSnapshot(state: FabricState): FabricState {
  const position = { created: "c", seq: state.seq, chain: "", tip: "" };
  const decoded = decodeSnapshot(FABRIC, encodeSnapshot({ position, state }));
  if (!decoded.ok) throw new Error(decoded.reason);
  return decoded.snapshot.state;
}

test("any record in any state gets a verdict and moves the state by one", () => {
  const record = fc.record({
    timeMs: fc.integer({ min: 0, max: 9_223_372_036_854 }),
    subject: fc.string({ unit: "binary" }),
    payload: fc.uint8Array(),
  });
  fc.assert(
    fc.property(steps, record, (all, last) => {
      const { state } = tell(all);
      const seq = state.seq + 1;
      const { verdict, event } = fold(state, { seq, ...last });
      expect(["accepted", "void", "quarantined"]).toContain(verdict.kind);
      expect(event === null).toBe(verdict.kind === "quarantined");
      expect(state.seq).toBe(seq);
    }),
    RUNS,
  );
});

test("one log gives one state", () => {
  fc.assert(
    fc.property(history, (records) => {
      expect(stateDocument(foldAll(records))).toEqual(stateDocument(foldAll(records)));
    }),
    RUNS,
  );
});

test("a snapshot anywhere and the rest of the log give the state of the whole log (W3)", () => {
  fc.assert(
    fc.property(history, (records) => {
      const whole = foldAll(records);
      for (let split = 0; split <= records.length; split++) {
        const early = throughSnapshot(foldAll(records.slice(0, split)));
        const late = foldAll(records.slice(split), early);
        // Equal in order too: plans and reports follow the order of the log.
        expect(contentOf(late)).toEqual(contentOf(whole));
        expect([...late.peers.keys(), ...late.leases.keys()]).toEqual([
          ...whole.peers.keys(),
          ...whole.leases.keys(),
        ]);
      }
    }),
    { numRuns: 30 },
  );
});

test("a record that is stored twice in a row changes nothing the second time", () => {
  const meaning = (state: FabricState) => {
    const { config, nodes, owners, peers, reservations, tokens } = state;
    const endpoints = new Map(eachEndpoint(state.endpoints));
    const members = [...nodes.values()].map(({ node, present, epoch, publicIp }) => {
      return { node, present, epoch, publicIp };
    });
    return structuredClone({ config, members, owners, peers, reservations, tokens, endpoints });
  };
  fc.assert(
    fc.property(history, (records) => {
      const state = initialState(FABRIC);
      for (const record of records) {
        fold(state, { ...record, seq: state.seq + 1 });
        const once = meaning(state);
        fold(state, { ...record, seq: state.seq + 1 });
        expect(meaning(state)).toEqual(once);
      }
    }),
    RUNS,
  );
});

test("a record that is not accepted changes nothing but place, time and quarantine", () => {
  const rest = (state: FabricState) => {
    const { seq: _, timeMs: __, quarantine: ___, ...others } = stateDocument(state);
    return structuredClone(others);
  };
  fc.assert(
    fc.property(steps, (all) => {
      let before = rest(initialState(FABRIC));
      let quarantined = 0;
      tell(all, (record, state, verdict) => {
        const after = rest(state);
        if (verdict.kind !== "accepted") expect(after).toEqual(before);
        if (verdict.kind === "quarantined") {
          quarantined++;
          expect(state.quarantine.recent.at(-1)).toMatchObject({
            seq: record.seq,
            subject: record.subject,
            reason: verdict.reason,
          });
        }
        expect(state.quarantine.count).toBe(quarantined);
        before = after;
      });
    }),
    RUNS,
  );
});

test("subnets have one owner, inside the pool, whoever claims, leaves or configures", () => {
  fc.assert(
    fc.property(steps, (all) => {
      const epochs = new Map<string, number>();
      tell(all, (_, state) => {
        expectOwnership(state);
        for (const { node, epoch } of state.nodes.values()) {
          expect(epoch).toBeGreaterThanOrEqual(epochs.get(node) ?? 0);
          epochs.set(node, epoch);
        }
      });
    }),
    RUNS,
  );
});

function expectOwnership(state: FabricState): void {
  const leased = [...state.leases.values()].flatMap(({ node, subnets }) =>
    subnets.map((subnet) => [subnet, node] as const),
  );
  expect(new Map(leased)).toEqual(state.owners);
  expect(leased.length).toBe(state.owners.size);
  const pools = [state.config?.ipv4 ?? null, state.config?.ipv6 ?? null];
  const foreign = [...state.peers.values()].map(({ subnet }) => subnet);
  const taken = [...state.taken.ipv4, ...state.taken.ipv6].map(({ subnet }) => subnet);
  expect(taken.sort()).toEqual([...foreign, ...state.owners.keys()].sort());
  leased.forEach(([subnet], i) => {
    expect(pools.some((pool) => pool !== null && inPool(pool, subnet))).toBe(true);
    const others = [...leased.slice(0, i).map(([other]) => other), ...foreign];
    expect(others.filter((other) => overlaps(prefixOf(subnet), prefixOf(other)))).toEqual([]);
  });
  for (const { node, epoch } of state.leases.values()) {
    expect(state.nodes.get(node)).toMatchObject({ present: true, epoch });
  }
}

test("an endpoint belongs to the present node or the peer that has it, and to nobody else", () => {
  fc.assert(
    fc.property(steps, (all) => {
      const { state } = tell(all);
      const held = new Map<string, string>();
      for (const node of state.nodes.values()) {
        if (node.present) for (const each of endpointsOf(node)) held.set(each, node.node);
      }
      for (const { name, publicIp, vtepMac } of state.peers.values()) {
        for (const each of [publicIp, vtepMac]) if (each !== null) held.set(each, `peer ${name}`);
      }
      expect(new Map(eachEndpoint(state.endpoints))).toEqual(held);
    }),
    RUNS,
  );
});

test("a lease ends by LeaseExpired only when the log's time has passed its end", () => {
  fc.assert(
    fc.property(steps, (all) => {
      let ends = new Map<string, number>();
      tell(all, (record, state, verdict) => {
        const text = new TextDecoder().decode(record.payload);
        const expired = text.startsWith('{"type":"LeaseExpired"') && verdict.kind === "accepted";
        const gone = [...ends.keys()].filter((node) => !state.leases.has(node));
        if (expired) {
          expect(gone.length).toBe(1);
          expect(state.timeMs).toBeGreaterThanOrEqual(ends.get(gone[0] ?? "") ?? Infinity);
        }
        ends = new Map([...state.leases.values()].map((each) => [each.node, each.expiresMs]));
      });
    }),
    RUNS,
  );
});

test("while changedSeq stands still, so does every host's plan", () => {
  const plans = (state: FabricState) =>
    ["h1", "h2", "h3", "h4", "rack-5.example", "nobody"].map((node) => {
      return { ...desired(state, node), seq: 0 };
    });
  fc.assert(
    fc.property(steps, (all) => {
      let changedSeq = 0;
      let before = plans(initialState(FABRIC));
      tell(all, (_, state) => {
        const after = plans(state);
        if (state.changedSeq === changedSeq) expect(after).toEqual(before);
        changedSeq = state.changedSeq;
        before = after;
      });
    }),
    { numRuns: 60 },
  );
});

test("time never runs backwards, even if the server's clock did", () => {
  fc.assert(
    fc.property(steps, (all) => {
      let latest = 0;
      tell(all, (record, { timeMs }) => {
        latest = Math.max(latest, record.timeMs);
        expect(timeMs).toBe(latest);
      });
    }),
    RUNS,
  );
});
