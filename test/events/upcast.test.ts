import { expect, test } from "bun:test";
import { type EventType, eventTypes, eventVersion } from "../../src/events/event.ts";
import { type Steps, steps, upcast } from "../../src/events/upcast.ts";

const table: Steps = {
  NodeLeft: {
    1: (data) => ({ ...(data as object), two: true }),
    2: (data) => ({ ...(data as object), three: true }),
  },
};

test("data of an old version goes through every step up to the current one", () => {
  expect(upcast("NodeLeft", 1, 3, { node: "h1" }, table)).toEqual({
    data: { node: "h1", two: true, three: true },
  });
  expect(upcast("NodeLeft", 2, 3, {}, table)).toEqual({ data: { three: true } });
});

test("data of the current version is left alone", () => {
  const data = { node: "h1" };
  expect(upcast("NodeLeft", 3, 3, data, table)?.data).toBe(data);
});

test("a missing step is told, not guessed", () => {
  expect(upcast("NodeLeft", 1, 4, {}, table)).toBeNull();
  expect(upcast("NodeJoined", 1, 2, {}, table)).toBeNull();
});

test("every version that was ever published can be brought to the current one", () => {
  const missing = eventTypes.flatMap((type: EventType) =>
    Array.from({ length: eventVersion[type] - 1 }, (_, i) => i + 1)
      .filter((v) => steps[type]?.[v] === undefined)
      .map((v) => `${type} ${v}`),
  );
  expect(missing).toEqual([]);
});
