import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { desired } from "../../src/reconcilers/desired.ts";
import { deviceOf, diff } from "../../src/reconcilers/diff.ts";
import {
  emptyKernelState,
  type KernelState,
  type Noun,
} from "../../src/reconcilers/kernel-state.ts";
import { mustRecreate } from "../../src/reconcilers/link.ts";
import type { NounRules } from "../../src/reconcilers/noun.ts";
import { mapOf, nouns } from "../../src/reconcilers/nouns.ts";
import type { NounTypes } from "../../src/reconcilers/op.ts";
import { applyAll, copyOf, tableOf } from "../support/apply-ops.ts";
import { FABRIC, foundState, wantedState } from "../support/arbitrary-kernel.ts";
import { history } from "../support/history.ts";

const PRUNE = { fabric: FABRIC, prune: true };
const KEEP = { fabric: FABRIC, prune: false };
const NOUNS = Object.keys(mapOf) as Noun[];

test("a table that both have in common is not gone through", () => {
  const routes = new Map();
  routes[Symbol.iterator] = () => {
    throw new Error("read");
  };
  const state = { ...emptyKernelState(), routes };
  expect(diff(state, { ...state }, PRUNE)).toEqual([]);
});

describe("diff of any wanted and any found state", () => {
  test("is empty when what is wanted is there", () => {
    fc.assert(fc.property(wantedState, (want) => expect(diff(want, want, PRUNE)).toEqual([])));
  });

  test("is the same when both have a table in common", () => {
    fc.assert(
      fc.property(wantedState, foundState, (want, have) => {
        const { neighs, routes, fdb } = want;
        const copied = { neighs: new Map(neighs), routes: new Map(routes), fdb: new Map(fdb) };
        const common = diff(want, { ...have, neighs, routes, fdb }, PRUNE);
        expect(common).toEqual([...diff(want, { ...have, ...copied }, PRUNE)]);
      }),
    );
  });

  test("leads to what is wanted, in one step when our marks stand", () => {
    fc.assert(
      fc.property(wantedState, foundState, (want, have) => {
        const once = applyAll(have, diff(want, have, PRUNE));
        expect(missingIn(want, once)).toEqual([]);
        // What stands on a device under our name that lost its mark is foreign until it is marked.
        const marked = [...want.links.keys()].every((name) => {
          const link = have.links.get(name);
          return link === undefined || link.alias === `heddle ${FABRIC}`;
        });
        const settled = marked ? once : applyAll(once, diff(want, once, PRUNE));
        expect(diff(want, settled, PRUNE)).toEqual([]);
      }),
    );
  });

  test("leaves alone what is not ours and not under a wanted key", () => {
    fc.assert(
      fc.property(wantedState, foundState, (want, have) => {
        const after = applyAll(have, diff(want, have, PRUNE));
        const gone = devicesThatGo(want, have);
        for (const noun of NOUNS) {
          for (const [key, object] of tableOf(have, noun)) {
            const dev = deviceOf(noun, object);
            if (tableOf(want, noun).has(key) || isOurs(noun, object, want, have)) continue;
            if (dev !== null && gone.has(dev)) continue;
            // A unicast MAC has one remote; setting ours takes another's place.
            if (noun === "fdb" && want.links.has(dev ?? "")) continue;
            if (noun === "neigh" && dev !== null && macChanges(want, have, dev)) continue;
            expect(tableOf(after, noun).get(key)).toBe(object);
          }
        }
      }),
    );
  });

  test("never removes anything without leave to prune", () => {
    fc.assert(
      fc.property(wantedState, foundState, (want, have) => {
        expect(diff(want, have, KEEP).filter((op) => op.verb === "del")).toEqual([]);
      }),
    );
  });

  test("converges from wherever a round was cut off", () => {
    fc.assert(
      fc.property(wantedState, foundState, fc.nat(40), (want, have, cut) => {
        let state: KernelState = applyAll(have, diff(want, have, PRUNE).slice(0, cut));
        for (let round = 0; round < 2; round++) state = applyAll(state, diff(want, state, PRUNE));
        expect(diff(want, state, PRUNE)).toEqual([]);
      }),
    );
  });

  test("sets nothing on a device before the device, and no route before its neighbour", () => {
    fc.assert(
      fc.property(wantedState, foundState, (want, have) => {
        const sets = diff(want, have, PRUNE).filter((op) => op.verb === "set");
        const order = sets.map((op) => RANK[op.noun]);
        expect(order).toEqual(order.toSorted((a, b) => a - b));
      }),
    );
  });
});

const RANK = { link: 0, addr: 1, sysctl: 2, peer: 3, fdb: 4, neigh: 5, route: 6, rule: 7 } as const;

describe("diff on a host", () => {
  const log = history(FABRIC).config({ Network: "10.5.0.0/16" }).join("h1");
  log.claim("h1", ["10.5.1.0/24"]).join("h2").claim("h2", ["10.5.2.0/24"]);
  const before = desired(log.state(), "h1").kernel;

  test("a device of another VNI under our name is made anew, with everything on it", () => {
    const found = copyOf(before);
    const link = found.links.get("heddle.1");
    if (link === undefined) throw new Error("no device");
    found.links.set("heddle.1", { ...link, vni: 2 });
    const ops = diff(before, found, KEEP).map((op) => `${op.verb} ${op.noun}`);
    const sysctls = ["set sysctl", "set sysctl"];
    const entries = ["set fdb", "set neigh", "set route"];
    expect(ops).toEqual(["set link", "set addr", ...sysctls, ...entries]);
  });

  test("a new MAC address sets the neighbours again, which the kernel drops", () => {
    const found = copyOf(before);
    const link = found.links.get("heddle.1");
    if (link === undefined) throw new Error("no device");
    found.links.set("heddle.1", { ...link, mac: "02:00:00:00:00:99" });
    const ops = diff(before, found, KEEP).map((op) => `${op.verb} ${op.noun}`);
    expect(ops).toEqual(["set link", "set neigh"]);
  });

  for (const change of [
    { up: false },
    { mtu: 1400 },
    { alias: null },
    { local: "198.18.0.9" },
    { underlay: "eth1" },
    { learning: true },
  ]) {
    test(`a device with other ${Object.keys(change)} is corrected where it stands`, () => {
      const found = copyOf(before);
      const link = found.links.get("heddle.1");
      if (link === undefined) throw new Error("no device");
      found.links.set("heddle.1", { ...link, ...change });
      const ops = diff(before, found, KEEP).map((op) => `${op.verb} ${op.noun}`);
      expect(ops).toEqual(["set link"]);
    });
  }

  test("a peer that moved is reached at the new place before the old one goes", () => {
    log.update("h2", { publicIp: "198.18.7.7" });
    const ops = diff(desired(log.state(), "h1").kernel, before, PRUNE);
    const [mac] = [...before.fdb.values()].map((entry) => entry.mac);
    expect(ops.map((op) => `${op.verb} ${op.noun} ${op.key}`)).toEqual([
      `set fdb heddle.1 ${mac} 198.18.7.7`,
      `del fdb heddle.1 ${mac} 198.18.0.2`,
    ]);
    log.update("h2", { publicIp: "198.18.0.2" });
  });

  test("an old device with the VNI that is wanted elsewhere goes before the new one comes", () => {
    const found = emptyKernelState();
    for (const link of before.links.values()) found.links.set("old", { ...link, name: "old" });
    const [first, second] = diff(before, found, PRUNE);
    expect([first?.verb, first?.key]).toEqual(["del", "old"]);
    expect([second?.verb, second?.key]).toEqual(["set", "heddle.1"]);
  });

  test("what is on a device that goes is not removed one by one", () => {
    const ops = diff(emptyKernelState(), before, PRUNE);
    expect(ops.map((op) => `${op.verb} ${op.noun}`)).toEqual(["del link", "del rule"]);
  });

  test("a switch is never turned back", () => {
    const ops = diff(emptyKernelState(), before, PRUNE);
    expect(before.sysctls.size).toBe(3);
    expect(ops.filter((op) => op.noun === "sysctl")).toEqual([]);
  });
});

function missingIn(want: KernelState, have: KernelState): string[] {
  return NOUNS.flatMap((noun) =>
    [...tableOf(want, noun)].flatMap(([key, object]) =>
      Bun.deepEquals(tableOf(have, noun).get(key), object) ? [] : [`${noun} ${key}`],
    ),
  );
}

/** Whatever our rule for this noun says, on devices that carry our mark. */
function isOurs(
  noun: Noun,
  object: NounTypes[Noun],
  want: KernelState,
  have: KernelState,
): boolean {
  const rules = nouns[noun] as NounRules<NounTypes[Noun]>;
  const devices = new Set<string>();
  for (const { name, alias } of have.links.values()) {
    if (alias === `heddle ${FABRIC}`) devices.add(name);
  }
  const learning = new Set<string>();
  for (const link of want.links.values()) if (link.learning) learning.add(link.name);
  return rules.owned(object, { fabric: FABRIC, devices, learning });
}

function devicesThatGo(want: KernelState, have: KernelState): Set<string> {
  const gone = new Set<string>();
  for (const [name, link] of have.links) {
    const wanted = want.links.get(name);
    if (wanted === undefined ? link.alias === `heddle ${FABRIC}` : mustRecreate(wanted, link)) {
      gone.add(name);
    }
  }
  return gone;
}

function macChanges(want: KernelState, have: KernelState, dev: string): boolean {
  return want.links.get(dev)?.mac !== have.links.get(dev)?.mac;
}
