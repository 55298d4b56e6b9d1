import { expect, test } from "bun:test";
import fc from "fast-check";
import { windowRows } from "../../src/web/window-rows.ts";

const list = fc.record({
  total: fc.nat({ max: 200_000 }),
  rowHeight: fc.integer({ min: 1, max: 80 }),
  scrollTop: fc.nat({ max: 5_000_000 }),
  viewHeight: fc.nat({ max: 4000 }),
});

test("every row in sight is drawn, and none that does not exist", () => {
  fc.assert(
    fc.property(list, ({ total, rowHeight, scrollTop, viewHeight }) => {
      const { first, count } = windowRows(total, rowHeight, scrollTop, viewHeight);
      expect(first).toBeGreaterThanOrEqual(0);
      expect(first + count).toBeLessThanOrEqual(total);
      const seen = Math.floor(scrollTop / rowHeight);
      const last = Math.min(total, Math.ceil((scrollTop + viewHeight) / rowHeight));
      if (seen < last) {
        expect(first).toBeLessThanOrEqual(seen);
        expect(first + count).toBeGreaterThanOrEqual(last);
      }
    }),
  );
});

test("the rows drawn do not grow with the list", () => {
  const drawn = windowRows(1_000_000, 30, 15_000_000, 600).count;
  expect(drawn).toBe(windowRows(1000, 30, 15_000, 600).count);
  expect(drawn).toBeLessThan(50);
});
