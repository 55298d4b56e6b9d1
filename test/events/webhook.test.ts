import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Draft } from "../../src/events/event.ts";
import { addedSeqOf, isWebhookUrl, wants, webhookId } from "../../src/events/webhook.ts";
import { PAUSES_MS, pauseAfter } from "../../src/events/webhook-retry.ts";

const DAY_MS = 24 * 3_600_000;

test("a URL names a host and holds neither credentials nor a fragment", () => {
  for (const url of ["https://ci.example/a?b=c", "http://[fd00::1]:8080/", "https://ci.example"]) {
    expect([url, isWebhookUrl(url)]).toEqual([url, true]);
  }
  const bad = [
    ...["https://user:pw@ci.example/", "https://ci.example/#x", "ftp://ci.example/", "https:///x"],
    ...["https://ci.example/a b", "https://ci.example/\n", "//ci.example", "", "https://a\\@b/"],
    `https://ci.example/${"x".repeat(2048)}`,
  ];
  for (const url of bad) expect([url, isWebhookUrl(url)]).toEqual([url, false]);
});

test("an id tells where its webhook was added, whatever its name", () => {
  const target = { url: "https://a.example/", types: [], nodes: [] };
  fc.assert(
    fc.property(
      fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9.-]{0,62}$/),
      fc.integer({ min: 1, max: 2 ** 40 }),
      (name, addedSeq) => addedSeqOf(webhookId({ ...target, name, addedSeq })) === addedSeq,
    ),
  );
  expect(addedSeqOf("other")).toBeNull();
});

test("a webhook wants events of its types that are about its nodes", () => {
  const left: Draft = { type: "NodeLeft", data: { node: "h1", reason: "" } };
  const expired: Draft = {
    type: "LeaseExpired",
    data: { node: "h1", owner: "h2", epoch: 1, subnets: ["10.5.3.0/24"] },
  };
  const removed: Draft = { type: "PeerRemoved", data: { name: "lb" } };
  const hook = { name: "ci", url: "https://ci.example/" };
  const wanted = (types: string[], nodes: string[]) =>
    [left, expired, removed].filter((event) => wants({ ...hook, types, nodes }, event));
  expect(wanted([], [])).toEqual([left, expired, removed]);
  expect(wanted(["NodeLeft"], [])).toEqual([left]);
  expect(wanted([], ["h2"])).toEqual([expired]);
  expect(wanted(["NodeLeft", "PeerRemoved"], ["h1"])).toEqual([left]);
});

test("pauses grow and add up to three days", () => {
  expect(PAUSES_MS.reduce((sum, ms) => sum + ms, 0)).toBe(3 * DAY_MS);
  expect([...PAUSES_MS.slice(0, -1)].sort((a, b) => a - b)).toEqual(PAUSES_MS.slice(0, -1));
  const pauses = PAUSES_MS.map((_, i) => pauseAfter(i + 1, 0, 0.5));
  expect(pauses).toEqual([...PAUSES_MS]);
  expect(pauseAfter(PAUSES_MS.length + 1, 0, 0.5)).toBeNull();
});

test("a pause is spread by a tenth, so that hooks of one receiver do not come at once", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: PAUSES_MS.length }), (attempt) => {
      const usual = PAUSES_MS[attempt - 1] ?? 0;
      for (const lot of [0, 0.25, 0.999]) {
        const pause = pauseAfter(attempt, 0, lot) ?? 0;
        if (Math.abs(pause - usual) > usual / 10 + 1) return false;
      }
      return true;
    }),
  );
});

test("an event older than three days is given up after three attempts", () => {
  expect(pauseAfter(2, 4 * DAY_MS, 0.5)).toBe(PAUSES_MS[1] ?? 0);
  expect(pauseAfter(3, 4 * DAY_MS, 0.5)).toBeNull();
  expect(pauseAfter(3, 2 * DAY_MS, 0.5)).toBe(PAUSES_MS[2] ?? 0);
});
