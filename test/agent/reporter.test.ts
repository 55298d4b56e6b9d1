import { describe, expect, test } from "bun:test";
import { createReporter } from "../../src/agent/reporter.ts";
import { encode, PAYLOAD_BYTES_MAX } from "../../src/events/codec.ts";
import type { Draft, DriftItem } from "../../src/events/event.ts";
import { eventData } from "../../src/events/event-schema.ts";

const item = (wanted: string): DriftItem => ({
  noun: "route",
  problem: "missing",
  found: null,
  wanted,
});
/** Publishes all there is; fails when it does not come to an end. */
function drain(reporter: ReturnType<typeof createReporter>): readonly Draft[] {
  const said: Draft[] = [];
  for (let draft = reporter.next(); draft !== null; draft = reporter.next()) {
    if (said.length > 10) throw new Error("it repeats itself");
    const parsed = eventData[draft.type].safeParse(draft.data);
    expect(parsed.error?.message).toBeUndefined();
    expect(encode(draft, "id").length).toBeLessThan(PAYLOAD_BYTES_MAX);
    said.push(draft);
    reporter.published(draft);
  }
  return said;
}

test("a host that is well says nothing", () => {
  const reporter = createReporter("h1");
  reporter.problems([]);
  expect(reporter.next()).toBeNull();
});

test("a freeze while another is being said is said too", () => {
  const reporter = createReporter("h1");
  reporter.frozen("the log went backwards");
  const first = reporter.next();
  reporter.frozen("the stream is gone");
  if (first !== null) reporter.published(first);
  expect(drain(reporter)).toEqual([
    { type: "HostFrozen", data: { node: "h1", reason: "the stream is gone" } },
    { type: "HostRecovered", data: { node: "h1" } },
  ]);
});

describe("problems", () => {
  test("are said when they change, once, and so is their end", () => {
    const reporter = createReporter("h1");
    reporter.problems(["a"]);
    expect(drain(reporter)).toEqual([
      { type: "HostDegraded", data: { node: "h1", problems: ["a"] } },
    ]);
    reporter.problems(["a"]);
    expect(reporter.next()).toBeNull();
    reporter.problems(["a", "b"]);
    expect(drain(reporter)).toMatchObject([{ data: { problems: ["a", "b"] } }]);
    reporter.problems([]);
    expect(drain(reporter)).toEqual([{ type: "HostRecovered", data: { node: "h1" } }]);
  });

  test("that come and go before anything was said leave nothing to say", () => {
    const reporter = createReporter("h1");
    reporter.problems(["a"]);
    reporter.problems([]);
    expect(reporter.next()).toBeNull();
  });

  test("that were not published are said again", () => {
    const reporter = createReporter("h1");
    reporter.problems(["a"]);
    expect(reporter.next()).toEqual(reporter.next());
  });

  test("more and longer than an event holds are cut, and still said once", () => {
    const reporter = createReporter("h1");
    const many = Array.from({ length: 50 }, (_, i) => `${i} ${"x".repeat(2000)}`);
    reporter.problems(many);
    expect(drain(reporter).length).toBe(1);
    reporter.problems(many);
    expect(reporter.next()).toBeNull();
  });
});

describe("drift", () => {
  test("is summed up until it is published", () => {
    const reporter = createReporter("h1");
    reporter.drift([item("a")], 1);
    reporter.drift([item("b")], 5);
    expect(drain(reporter)).toEqual([
      { type: "DriftHealed", data: { node: "h1", count: 6, items: [item("a"), item("b")] } },
    ]);
    expect(reporter.healed()).toBe(6);
  });

  test("that is found while the last is being published is not lost", () => {
    const reporter = createReporter("h1");
    reporter.drift([item("a")], 1);
    const first = reporter.next();
    reporter.drift([item("b")], 2);
    if (first === null) throw new Error("nothing to say");
    reporter.published(first);
    expect(drain(reporter)).toMatchObject([{ data: { count: 2, items: [item("b")] } }]);
    expect(reporter.healed()).toBe(3);
  });

  test("of a thousand objects is one event that fits, with 32 of them", () => {
    const reporter = createReporter("h1");
    const long = "é".repeat(5000);
    const items = Array.from({ length: 1000 }, () => {
      return { ...item(long), noun: "a-noun-that-is-too-long", found: long };
    });
    reporter.drift(items, 1000);
    const [draft, ...rest] = drain(reporter);
    expect(rest).toEqual([]);
    expect(draft).toMatchObject({ data: { count: 1000 } });
    expect(draft?.type === "DriftHealed" && draft.data.items.length).toBe(32);
  });
});

test("a freeze is said before anything else, and a recovery after it", () => {
  const reporter = createReporter("h1");
  reporter.drift([item("a")], 1);
  reporter.frozen(`the stream is gone${" ".repeat(2000)}`);
  expect(drain(reporter).map(({ type }) => type)).toEqual([
    "HostFrozen",
    "DriftHealed",
    "HostRecovered",
  ]);
});
