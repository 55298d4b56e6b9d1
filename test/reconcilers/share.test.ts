import { expect, test } from "bun:test";
import fc from "fast-check";
import { diff } from "../../src/reconcilers/diff.ts";
import { shared } from "../../src/reconcilers/share.ts";
import { applyAll } from "../support/apply-ops.ts";
import { FABRIC, foundState, wantedState } from "../support/arbitrary-kernel.ts";

test("what was found stays the same, in the plan's own objects", () => {
  let settled = 0;
  fc.assert(
    fc.property(wantedState, foundState, (want, before) => {
      const ops = diff(want, before, { fabric: FABRIC, prune: false });
      const have = structuredClone(applyAll(before, ops));
      fc.pre(diff(want, have, { fabric: FABRIC, prune: false }).length === 0);
      const kept = shared(want, have);
      expect(kept).toEqual(have);
      for (const table of ["routes", "neighs", "fdb", "addrs", "sysctls", "rules"] as const) {
        for (const [key, object] of want[table]) expect(kept[table].get(key)).toBe(object as never);
        if (want[table].size === have[table].size) expect(kept[table]).toBe(want[table] as never);
      }
      settled++;
    }),
  );
  expect(settled).toBeGreaterThan(0);
});
