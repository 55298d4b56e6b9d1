import { expect, test } from "bun:test";
import fc from "fast-check";
import { eachEndpoint, holderAt, noEndpoints, settle, vacate } from "../../src/events/endpoints.ts";

const step = fc.record({
  vacated: fc.boolean(),
  endpoint: fc.integer({ min: 0, max: 60 }).map((n) => `198.18.0.${n}`),
  holder: fc.constantFrom("h1", "h2", "peer lb"),
});

test("it says what a map would say, whatever came and went", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const endpoints = noEndpoints();
      const model = new Map<string, string>();
      for (const { vacated, endpoint, holder } of steps) {
        if (vacated) {
          vacate(endpoints, endpoint);
          model.delete(endpoint);
        } else {
          settle(endpoints, endpoint, holder);
          model.set(endpoint, holder);
        }
        expect(holderAt(endpoints, endpoint)).toBe(model.get(endpoint));
      }
      for (let n = 0; n <= 60; n++) {
        expect(holderAt(endpoints, `198.18.0.${n}`)).toBe(model.get(`198.18.0.${n}`));
      }
      expect(new Map(eachEndpoint(endpoints))).toEqual(model);
      expect([...eachEndpoint(endpoints)]).toHaveLength(model.size);
    }),
    { numRuns: 200 },
  );
});

test("names that come and go for ever take no more room than those that are there", () => {
  const endpoints = noEndpoints();
  for (let n = 0; n < 10_000; n++) {
    settle(endpoints, `2001:db8::${n}`, "h1");
    vacate(endpoints, `2001:db8::${n - 3}`);
  }
  expect([...eachEndpoint(endpoints)]).toHaveLength(3);
  expect(endpoints.slots).toHaveLength(2 * 16);
});

test("addresses that differ in one place alone are found in few steps", () => {
  const endpoints = noEndpoints();
  for (let n = 0; n < 10_000; n++) settle(endpoints, `2001:db8:${n.toString(16)}::1`, `h${n}`);
  // The longest row of taken slots bounds every search; at random half of 32 768 give about 40.
  let [row, longest] = [0, 0];
  for (let at = 0; at < endpoints.slots.length; at += 2) {
    row = endpoints.slots[at] === 0 ? 0 : row + 1;
    longest = Math.max(longest, row);
  }
  expect(longest).toBeLessThan(200);
});
