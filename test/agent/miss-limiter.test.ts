// How many answers a flood of questions about nobody may cost.

import { expect, test } from "bun:test";
import { MissLimiter } from "../../src/agent/miss-limiter.ts";

test("the first question is answered, one repeated at once is not, a later one is", () => {
  const limiter = new MissLimiter();
  expect(limiter.take("10.5.9.9", 0)).toBe(true);
  expect(limiter.take("10.5.9.9", 9_999)).toBe(false);
  expect(limiter.take("10.5.9.8", 9_999)).toBe(true);
  expect(limiter.take("10.5.9.9", 10_000)).toBe(true);
});

test("a flood of addresses gets a thousand answers a second", () => {
  const limiter = new MissLimiter();
  let answered = 0;
  for (let i = 0; i < 65_536; i++) {
    if (limiter.take(`10.5.${i >> 8}.${i & 255}`, (i * 3000) / 65_536)) answered++;
  }
  expect(answered).toBe(3000);
});
