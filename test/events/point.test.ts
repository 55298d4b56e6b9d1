import { expect, test } from "bun:test";
import {
  formatDuration,
  instantOf,
  isoTime,
  parseDuration,
  parsePoint,
} from "../../src/events/point.ts";

test("durations are sums of numbers with units", () => {
  const cases: readonly [string, number | null][] = [
    ["250ms", 250],
    ["30s", 30_000],
    ["1.5m", 90_000],
    ["1h30m", 5_400_000],
    ["2d", 172_800_000],
    ["30", null],
    ["", null],
    ["s", null],
    ["1 h", null],
    ["-1s", null],
    ["1y", null],
  ];
  for (const [text, ms] of cases) expect([text, parseDuration(text)]).toEqual([text, ms]);
});

test("a plain number is a sequence, and there is no sequence 0", () => {
  expect(parsePoint("42")).toEqual({ kind: "seq", text: "42", seq: 42 });
  expect(parsePoint("0")).toBeNull();
  expect(parsePoint("99999999999999999999")).toBeNull();
});

test("times are ISO 8601, or how long ago", () => {
  const nowMs = Date.UTC(2030, 0, 2, 12);
  const cases: readonly [string, number | null][] = [
    ["2030-01-01", Date.UTC(2030, 0, 1)],
    ["2030-01-01T10:00Z", Date.UTC(2030, 0, 1, 10)],
    ["2030-01-01T10:00:30.250Z", Date.UTC(2030, 0, 1, 10, 0, 30, 250)],
    ["2030-01-01T10:00:00+02:00", Date.UTC(2030, 0, 1, 8)],
    ["2030-01-01 10:00:00Z", Date.UTC(2030, 0, 1, 10)],
    ["10m", nowMs - 600_000],
    ["2h ago", nowMs - 7_200_000],
    ["yesterday", null],
    ["1 Jan 2030", null],
    ["2030-02-31", null],
    ["2030-13-01", null],
    ["10:00", null],
  ];
  for (const [text, ms] of cases) {
    const point = parsePoint(text);
    expect([text, point === null ? null : instantOf(point, nowMs)]).toEqual([text, ms]);
  }
});

test("durations are told in their two largest units", () => {
  expect([300, 90_000, 86_400_000, 90_061_000].map(formatDuration)).toEqual([
    "300ms",
    "1m30s",
    "1d",
    "1d1h",
  ]);
});

test("a duration from now ends at a time that can be written", () => {
  expect(parseDuration("36500d")).toBe(100 * 365 * 86_400_000);
  expect(isoTime(Date.now() + (parseDuration("36500d") ?? 0))).toStartWith("21");
  for (const text of ["36501d", "999999999d", "36500d1ms"]) expect(parseDuration(text)).toBeNull();
});
