import { expect, test } from "bun:test";
import { createOthers } from "../../src/agent/others.ts";
import { manualClock } from "../support/manual-clock.ts";

test("others are woken at once, or once in the next turn however often asked", async () => {
  const clock = manualClock();
  let woken = 0;
  const wake = createOthers(clock, [{ wake: () => woken++ }]);
  wake(false);
  expect(woken).toBe(1);
  wake(true);
  wake(true);
  await Promise.resolve();
  expect(woken).toBe(1);
  await clock.advance(0);
  expect(woken).toBe(2);
  wake(true);
  await clock.advance(0);
  wake(false);
  expect(woken).toBe(4);
});
